//! The supervisor's own memory, files and CPU time, read from /proc when asked for.

use std::fs;

use prometheus_client::{
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

/// What /proc/self says. A figure that cannot be read is 0: a scrape must not fail for it.
struct Usage {
    resident_bytes: u64,
    open_fds: u64,
    cpu_seconds: f64,
}

/// The figures of now under the names that every Prometheus dashboard knows.
pub fn registry() -> Registry {
    let usage = Usage::read();
    let mut registry = Registry::with_prefix("process");
    let collected: [(&str, &str, u64); 2] = [
        ("resident_memory_bytes", "Resident memory of the supervisor in bytes", usage.resident_bytes),
        ("open_fds", "Open file descriptors of the supervisor", usage.open_fds),
    ];
    for (name, help, value) in collected {
        registry.register(name, help, ConstGauge::new(value));
    }
    registry.register("cpu_seconds", "CPU time of the supervisor", ConstCounter::new(usage.cpu_seconds));
    registry
}

impl Usage {
    fn read() -> Self {
        let pages = field(&read("statm"), 1);
        let cpu_ticks = cpu_ticks(&read("stat"));
        let ticks_per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK);
        let page_bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
        Self {
            resident_bytes: pages * page_bytes.ok().flatten().map_or(0, i64::unsigned_abs),
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
            cpu_seconds: cpu_ticks as f64 / ticks_per_second.ok().flatten().unwrap_or(100) as f64,
        }
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default()
}

/// User and system time: the 14th and 15th field of proc_pid_stat(5), counted after the name, which may hold spaces.
fn cpu_ticks(stat: &str) -> u64 {
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    field(after_name, 11) + field(after_name, 12)
}

fn field(text: &str, index: usize) -> u64 {
    text.split_ascii_whitespace().nth(index).and_then(|field| field.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_has_memory_and_open_files() {
        let usage = Usage::read();
        assert!(usage.resident_bytes > 100_000, "{}", usage.resident_bytes);
        assert!(usage.open_fds >= 3, "{}", usage.open_fds);
    }

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 1 0 100 1 1";
        assert_eq!(cpu_ticks(stat), 42);
    }
}
