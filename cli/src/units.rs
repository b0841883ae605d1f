//! Sizes, CPU shares and durations as people write and read them.

use std::time::Duration;

/// The text given is no quantity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{rule}; got {got:?}")]
pub struct BadQuantity {
    rule: &'static str,
    got: String,
}

/// `512M`, `1G`, `1536KiB`, or plain bytes; units are powers of 1024.
pub fn parse_bytes(text: &str) -> Result<u64, BadQuantity> {
    let rule = "use a size such as 512M, 1.5G or plain bytes";
    let bad = || BadQuantity { rule, got: text.to_owned() };
    let (number, unit) = split(text).ok_or_else(bad)?;
    let shift = match unit.trim_end_matches("iB").trim_end_matches('B') {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(bad()),
    };
    let bytes = number * f64::from(2_u32).powi(shift);
    // Beyond 2^53 a float is no longer exact; no limit of a machine is that large.
    if bytes < 9e15 { Ok(bytes as u64) } else { Err(bad()) }
}

/// Cores as thousandths: `1.5` is 1500.
pub fn parse_cpu(text: &str) -> Result<u32, BadQuantity> {
    let bad = || BadQuantity { rule: "use a number of cores such as 0.5 or 2", got: text.to_owned() };
    let cores: f64 = text.parse().map_err(|_| bad())?;
    if (0.0..=1e6).contains(&cores) { Ok((cores * 1000.0).round() as u32) } else { Err(bad()) }
}

/// `500ms`, `90s`, `3m`, `1h`, or plain seconds.
pub fn parse_duration(text: &str) -> Result<Duration, BadQuantity> {
    let rule = "use a duration such as 500ms, 90s, 3m or 1h";
    let bad = || BadQuantity { rule, got: text.to_owned() };
    let (number, unit) = split(text).ok_or_else(bad)?;
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(bad()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| bad())
}

/// `12.3 MB`, in powers of 1000 as file listings have it.
pub fn show_bytes(bytes: u64) -> String {
    let scaled = |unit: f64| bytes as f64 / unit;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", scaled(1e3)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", scaled(1e6)),
        1_000_000_000.. => format!("{:.1} GB", scaled(1e9)),
    }
}

/// `340 us`, `12.3 ms`, `1.24 s`.
pub fn show_micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        1_000_000.. => format!("{:.2} s", micros as f64 / 1e6),
    }
}

/// `12s`, `5m`, `3h`, `9d`: how long ago, roughly.
pub fn show_age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        172_800.. => format!("{}d", seconds / 86_400),
    }
}

fn split(text: &str) -> Option<(f64, &str)> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some((number, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_in_powers_of_1024() {
        let cases = [("0", 0), ("7", 7), ("1k", 1 << 10), ("512M", 512 << 20), ("1.5G", 3 << 29), ("2GiB", 2 << 30)];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "M", "-1", "1X", "1 M", "nan", "inf", "1e300", "99999999T"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_is_read_with_its_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("3m"), Ok(Duration::from_secs(180)));
        for bad in ["", "s", "-1s", "1d", "1e300h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cores_are_read_in_thousandths() {
        assert_eq!(parse_cpu("1.5"), Ok(1500));
        for bad in ["", "-1", "x", "nan", "1e9"] {
            assert!(parse_cpu(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn quantities_are_shown_with_a_unit_that_fits() {
        assert_eq!((show_bytes(999), show_bytes(66_900_000)), ("999 B".to_owned(), "66.9 MB".to_owned()));
        assert_eq!((show_micros(340), show_micros(1_240_000)), ("340 us".to_owned(), "1.24 s".to_owned()));
        assert_eq!((show_age(90), show_age(7_300)), ("90s".to_owned(), "2h".to_owned()));
    }
}
