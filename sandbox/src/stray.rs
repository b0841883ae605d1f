//! Finds processes without the help of a cgroup: by descent, by session, by a mark in their environment.
//!
//! A look at /proc is never complete while others fork. Callers look again until nothing new turns up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
};

use rustix::process::{Pid, kill_process_group};

use crate::{kill::kill_all, signal::Signal};

/// A variable in the environment of every process that belongs to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    entry: Vec<u8>,
    matching: Matching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matching {
    Whole,
    Start,
}

/// The first process of a tree; a later process with the same pid is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    pid: i32,
    start_ticks: u64,
}

/// One line of /proc/PID/stat, of a process that is not a zombie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    parent: i32,
    session: i32,
    start_ticks: u64,
}

impl Marker {
    /// Every process whose `variable` starts with `value_prefix`.
    pub fn prefix(variable: &str, value_prefix: &str) -> Self {
        Self { entry: format!("{variable}={value_prefix}").into_bytes(), matching: Matching::Start }
    }

    /// Every process whose `variable` is `value`.
    pub fn exact(variable: &str, value: &str) -> Self {
        Self { entry: format!("{variable}={value}").into_bytes(), matching: Matching::Whole }
    }

    /// The name of the variable.
    pub fn variable(&self) -> String {
        let name = self.entry.split(|byte| *byte == b'=').next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }

    pub(crate) fn is_on(&self, pid: i32) -> bool {
        // Not readable is somebody else's process or one that has just ended.
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| match self.matching {
            Matching::Whole => entry == self.entry,
            Matching::Start => entry.starts_with(&self.entry),
        })
    }
}

impl Root {
    /// The process `pid` as it is now; `None` when there is none.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, start_ticks: read_process(pid)?.start_ticks })
    }

    /// Is `process` of this root's session? The session's number is not given away while it has members.
    fn leads(&self, process: &Process, all: &BTreeMap<i32, Process>) -> bool {
        let taken_over = all.get(&self.pid).is_some_and(|now| now.start_ticks != self.start_ticks);
        process.session == self.pid && process.start_ticks >= self.start_ticks && !taken_over
    }
}

/// The living processes of the trees below `roots`, of their sessions, and those with the mark; never this process.
pub(crate) fn find(roots: &[Root], marker: Option<&Marker>) -> Vec<i32> {
    let all = list();
    let mut found: BTreeSet<i32> = BTreeSet::new();
    for (pid, process) in &all {
        let is_root = roots.contains(&Root { pid: *pid, start_ticks: process.start_ticks });
        let in_session = || roots.iter().any(|root| root.leads(process, &all));
        if is_root || in_session() || marker.is_some_and(|marker| marker.is_on(*pid)) {
            found.insert(*pid);
        }
    }
    found.remove(&own_pid());
    with_descendants(found, &all).into_iter().collect()
}

/// Kills the process groups that the roots lead. A group dies in one call, so nobody in it can fork away, and none has
/// to be seen: a process that forks and exits all the time is in no list of /proc.
///
/// The group's number is not given away while it has members, nor soon after: numbers go round.
pub(crate) fn kill_groups(roots: &[Root]) {
    for root in roots {
        let taken_over = read_process(root.pid).is_some_and(|now| now.start_ticks != root.start_ticks);
        if let Some(group) = Pid::from_raw(root.pid).filter(|_| !taken_over) {
            // An empty group is fine; what we may not kill shows as a survivor.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn with_descendants(mut found: BTreeSet<i32>, all: &BTreeMap<i32, Process>) -> BTreeSet<i32> {
    loop {
        let before = found.len();
        let children = all.iter().filter(|(_, process)| found.contains(&process.parent)).map(|(pid, _)| *pid);
        let children: Vec<i32> = children.collect();
        found.extend(children);
        if found.len() == before {
            return found;
        }
    }
}

/// Kills the process `pid`, its descendants and its session, again and again until none is left or 5 s are over.
///
/// # Errors
/// TimedOut when processes are left.
pub fn kill_tree(pid: i32) -> io::Result<usize> {
    let roots: Vec<Root> = Root::of(pid).into_iter().collect();
    kill_found(|| {
        kill_groups(&roots);
        find(&roots, None)
    })
}

/// Kills every process with the mark and its descendants, but not this process; the number of processes killed.
///
/// # Errors
/// TimedOut when processes are left.
pub fn kill_marked(marker: &Marker) -> io::Result<usize> {
    kill_found(|| find(&[], Some(marker)))
}

fn kill_found(find: impl Fn() -> Vec<i32>) -> io::Result<usize> {
    let killed = kill_all(|| Ok::<_, io::Error>(find()))?;
    if killed.survivors.is_empty() {
        return Ok(killed.count);
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("processes {:?} do not die", killed.survivors)))
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).expect("a pid is below 2^22 (kernel: PID_MAX_LIMIT)")
}

fn list() -> BTreeMap<i32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, read_process(pid)?))).collect()
}

fn read_process(pid: i32) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields by number as in proc_pid_stat(5). The name in brackets may hold anything, so they count from the last one.
fn parse(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    if matches!(field(3)?, "Z" | "X") {
        return None;
    }
    Some(Process {
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        start_ticks: field(22)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_call_itself_anything() {
        let stat = "7 (a) R 1 (b)) S 3 7 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 0 0";
        assert_eq!(parse(stat), Some(Process { parent: 3, session: 5, start_ticks: 4242 }));
    }

    #[test]
    fn a_zombie_is_no_living_process() {
        assert_eq!(parse("7 (x) Z 3 7 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 0 0"), None);
    }

    #[test]
    fn this_process_is_never_found() {
        let own = Root::of(own_pid()).expect("we are there");
        assert!(!find(&[own], None).contains(&own_pid()));
    }
}
