//! The dialect of cgroup v2: one directory for each leaf, limits in plain files, a kill that is one write.

mod delegation;

use std::{
    io::{Read, Seek},
    path::Path,
    time::Instant,
};

pub(super) use delegation::{Tree, lists};
use nix::libc;
use rustix::event::{PollFd, PollFlags, poll};

use super::{
    CgroupError, EMPTY_WAIT_MAX, Limits, OomEvents, Operation, Usage, file,
    group::{Group, kill_each},
    limits::{CPU_PERIOD_US, CPU_WEIGHT_DEFAULT, cpu_quota_us},
};

/// One leaf and the node that holds it.
#[derive(Debug)]
pub(super) struct Leaf {
    pub node: Option<Group>,
    pub group: Group,
}

impl Leaf {
    pub fn limit(&self, limits: &Limits) -> Result<(), CgroupError> {
        let max = |limit: Option<u64>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
        let quota = limits.cpu_millis_max.map(cpu_quota_us);
        let weight = limits.cpu_weight.unwrap_or(CPU_WEIGHT_DEFAULT).to_string();
        // Swap and group kill before the limit itself, which may kill at once.
        self.write_if_there("memory.swap.max", "0")?;
        self.write_if_there("memory.oom.group", "1")?;
        self.write_if_there("memory.max", &max(limits.memory_bytes_max))?;
        self.write_if_there("cpu.max", &format!("{} {CPU_PERIOD_US}", max(quota)))?;
        self.write_if_there("cpu.weight", &weight)?;
        self.write_if_there("pids.max", &max(limits.pids_max.map(u64::from)))
    }

    /// Files of controllers that are not enabled are not there, and what they would hold is reported as not held.
    fn write_if_there(&self, name: &str, data: &str) -> Result<(), CgroupError> {
        let path = self.group.file(name);
        if path.exists() { file::write(&path, data) } else { Ok(()) }
    }

    pub fn add(&self, pid: i32) -> Result<(), CgroupError> {
        self.group.add(pid)
    }

    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        self.group.pids()
    }

    pub fn contains(&self, pid: i32) -> Result<bool, CgroupError> {
        Ok(self.pids()?.contains(&pid))
    }

    pub fn usage(&self) -> Usage {
        let number = |name: &str| file::number(&self.group.file(name));
        Usage {
            memory_bytes: number("memory.current"),
            memory_bytes_peak: number("memory.peak"),
            oom_kills: file::keyed_number(&self.group.file("memory.events"), "oom_kill").unwrap_or(0),
            pids: number("pids.current"),
            cpu_us: file::keyed_number(&self.group.file("cpu.stat"), "usage_usec"),
        }
    }

    pub fn oom_events(&self) -> Result<Option<OomEvents>, CgroupError> {
        let is_counted = self.group.file("memory.events").exists();
        is_counted.then(|| OomEvents::of_v2(self.group.path())).transpose()
    }

    pub fn kill(&self) -> Result<(), CgroupError> {
        match file::write(&self.group.file("cgroup.kill"), "1") {
            // Before Linux 5.14 the file is not there.
            Err(error) if error.errno() == Some(libc::ENOENT) => kill_each(&self.group, || self.pids()),
            Err(error) => Err(error),
            Ok(()) => self.wait_until_empty(),
        }
    }

    fn wait_until_empty(&self) -> Result<(), CgroupError> {
        let path = self.group.file("cgroup.events");
        if until_unpopulated(&path).map_err(CgroupError::io(Operation::Wait, &path))? {
            return Ok(());
        }
        Err(CgroupError::StillAlive { path: self.group.path().to_owned(), pids: self.pids()? })
    }

    pub fn remove_below(&self) -> Result<usize, CgroupError> {
        let children = self.group.children()?;
        children.iter().try_for_each(Group::remove)?;
        Ok(children.len())
    }

    pub fn remove(&self) -> Result<(), CgroupError> {
        self.group.remove()?;
        if let Some(node) = &self.node {
            node.remove_if_unused();
        }
        Ok(())
    }
}

/// Waits until `cgroup.events` says `populated 0`: the kernel wakes a poller at each change.
fn until_unpopulated(path: &Path) -> std::io::Result<bool> {
    let deadline = Instant::now() + EMPTY_WAIT_MAX;
    let mut events = std::fs::File::open(path)?;
    loop {
        let mut text = String::new();
        events.rewind()?;
        events.read_to_string(&mut text)?;
        if file::keyed(&text, "populated") == Some(0) {
            return Ok(true);
        }
        let Ok(left) = rustix::event::Timespec::try_from(deadline.saturating_duration_since(Instant::now())) else {
            return Ok(false);
        };
        if poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&left))? == 0 {
            return Ok(false);
        }
    }
}
