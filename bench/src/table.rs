//! The readable table: Markdown, with the date and the size of the machine.

use std::{fs, thread, time::SystemTime};

use crate::results::{KINDS, Kind, Measure, Results, Side};

/// The whole page.
pub fn page(results: &Results) -> String {
    let rows = KINDS.iter().filter_map(|kind| Some(row(kind, results.get(kind.name)?)));
    let body: String = rows.collect();
    format!(
        "Measured {} on {}; medians of one run in which the servers take turns.\n\n\
         | what | peer | pexvisor | times better | direct | nginx | times nginx |\n\
         |---|--:|--:|--:|--:|--:|--:|\n{body}",
        date(),
        machine()
    )
}

fn row(kind: &Kind, measure: &Measure) -> String {
    let value = |side| figure(measure.median(side), kind.unit);
    let with_cpu = |side| match measure.cpu_ms(side) {
        Some(cpu) => format!("{} (CPU {})", value(side), figure(Some(cpu), "ms")),
        None => value(side),
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |\n",
        kind.says,
        with_cpu(Side::Peer),
        with_cpu(Side::Pexvisor),
        times(measure.ratio(Side::Peer, kind.better)),
        value(Side::Direct),
        value(Side::Nginx),
        times(measure.ratio(Side::Nginx, kind.better))
    )
}

fn figure(value: Option<f64>, unit: &str) -> String {
    match (value, unit) {
        (None, _) => "–".to_owned(),
        (Some(value), "ms") if value >= 1000.0 => format!("{:.2} s", value / 1000.0),
        (Some(value), "ms") if value < 10.0 => format!("{value:.3} ms"),
        (Some(value), "calls/s") => format!("{value:.0} calls/s"),
        (Some(value), unit) => format!("{value:.1} {unit}"),
    }
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
}

fn date() -> String {
    prost_types::Timestamp::from(SystemTime::now()).to_string().chars().take("2026-01-01".len()).collect()
}

fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown processor".into());
    let memory_kib: f64 = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse().ok())
        .unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores ({model}), {:.0} GiB, Linux {}", memory_kib / 1024.0 / 1024.0, kernel.trim())
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_in_the_unit_that_reads_best() {
        assert_eq!(figure(Some(6300.0), "ms"), "6.30 s");
        assert_eq!(figure(Some(0.0461), "ms"), "0.046 ms");
        assert_eq!(figure(Some(37000.4), "calls/s"), "37000 calls/s");
        assert_eq!(figure(None, "MB"), "–");
    }

    #[test]
    fn a_row_has_the_columns_of_the_head() {
        let mut results = Results::default();
        results.add("ready", Side::Peer, 3000.0);
        results.add("ready", Side::Pexvisor, 30.0);
        let page = page(&results);
        assert!(page.contains("| process start to control door answers | 3.00 s | 30.0 ms | 100.00 | – | – | – |"));
    }
}
