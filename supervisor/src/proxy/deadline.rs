//! The deadline of a call, from its `grpc-timeout`: the time from its arrival to its last byte.

use std::{pin::Pin, time::Duration};

use http::{HeaderMap, HeaderValue};
use tokio::time::{Instant, Sleep, sleep_until};

/// Digits of a `grpc-timeout` (gRPC over HTTP/2, "Timeout").
const DIGITS_MAX: usize = 8;

/// When a call must have ended. Pending for ever when the caller set no deadline, or one that cannot be read: that one is
/// the code server's to judge, since the header passes unchanged.
#[derive(Debug)]
pub struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    /// The deadline of a call that arrives now.
    pub fn of(headers: &HeaderMap) -> Self {
        let timeout = headers.get("grpc-timeout").and_then(parse);
        let at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self(at.map(|at| Box::pin(sleep_until(at))))
    }

    /// Returns when it has passed.
    pub async fn passed(&mut self) {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().await,
            None => std::future::pending().await,
        }
    }
}

fn parse(value: &HeaderValue) -> Option<Duration> {
    let (digits, unit) = value.to_str().ok()?.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u32 = digits.parse().ok()?;
    let unit = match unit {
        "H" => Duration::from_secs(3600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    unit.checked_mul(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_reads_as_grpc_defines_it() {
        let read = |text| parse(&HeaderValue::from_static(text));
        assert_eq!(read("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(read("2M"), Some(Duration::from_secs(120)));
        assert_eq!(read("0S"), Some(Duration::ZERO));
        assert_eq!(read("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(read("5u"), Some(Duration::from_micros(5)));
        assert_eq!(read("7n"), Some(Duration::from_nanos(7)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "999999999S", "1SS", " 1S"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
