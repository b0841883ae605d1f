//! Reads of `/proc`: who descends from whom, CPU time and memory of a whole process tree.
//!
//! From outside, for every server alike; no server is asked about itself.

use std::{collections::HashMap, fs, time::Duration};

/// `USER_HZ`: the unit of the times in `/proc/PID/stat`, 100 on every Linux that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What one line of `/proc/PID/stat` says.
struct Stat {
    parent: i32,
    /// Own time and that of children that were waited for.
    ticks: u64,
}

/// The process itself and every living descendant.
pub fn tree(root: i32) -> Vec<i32> {
    let stats = all_stats();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(stats.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// CPU time that the tree has used, with that of its members which ended and were waited for.
pub fn tree_cpu(root: i32) -> Duration {
    let ticks: u64 = tree(root).into_iter().filter_map(stat).map(|stat| stat.ticks).sum();
    Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
}

/// Proportional memory in MB (10^6 bytes) of the tree without its code servers.
pub fn server_memory_mb(root: i32) -> f64 {
    let kib: u64 = tree(root).into_iter().filter(|pid| !is_code_server(*pid)).filter_map(pss_kib).sum();
    kib as f64 * 1024.0 / 1e6
}

/// Both servers start `python … dagster api grpc`.
fn is_code_server(pid: i32) -> bool {
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    words.windows(2).any(|pair| pair == [b"api".as_slice(), b"grpc".as_slice()])
}

fn pss_kib(pid: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn all_stats() -> HashMap<i32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in the second field may hold anything, so fields are counted from its closing parenthesis.
fn parse_stat(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let line = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.parent, stat.ticks), (3, 100));
    }

    #[test]
    fn this_process_is_in_its_own_tree_and_has_memory() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(tree(pid).contains(&pid));
        assert!(server_memory_mb(pid) > 0.1);
    }
}
