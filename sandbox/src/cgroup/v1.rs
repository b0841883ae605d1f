//! The dialect of cgroup v1: a hierarchy per controller, each with a directory of its own for every group.
//!
//! The OOM killer ends one process here, not the group, and there is no kill file: the freezer stops everybody, then
//! each gets SIGKILL. Limits go through cgroups-rs; names, membership and removal are ours.

mod hierarchies;

use std::{collections::BTreeSet, path::Path, time::Duration};

use cgroups_rs::{
    FreezerState,
    fs::{
        MaxValue, cpu::CpuController, error::Error, freezer::FreezerController, memory::MemController,
        pid::PidController,
    },
};
pub(super) use hierarchies::{Hierarchies, Tree};

use super::{
    CgroupError, Limits, OomEvents, Usage, file,
    group::{Group, kill_each, wait_until},
    limits::{CPU_PERIOD_US, CPU_WEIGHT_DEFAULT, cpu_quota_us},
};
use crate::kill::kill;

/// How long processes may take to freeze. One that sleeps in the kernel freezes late; it is killed all the same.
const FREEZE_WAIT_MAX: Duration = Duration::from_millis(200);

/// What v1 calls "not limited".
const UNLIMITED: i64 = -1;

/// v1's shares of a group that nobody set any for, as v2's weight of 100.
const CPU_SHARES_DEFAULT: u64 = 1024;

/// One leaf and the node that holds it.
#[derive(Debug)]
pub(super) struct Leaf {
    pub node: Option<Hierarchies>,
    pub group: Hierarchies,
}

impl Leaf {
    pub fn limit(&self, limits: &Limits) -> Result<(), CgroupError> {
        let apply = |group: &Option<Group>, set: fn(&Path, &Limits) -> Result<(), Error>| match group {
            None => Ok(()),
            Some(group) => set(group.path(), limits).map_err(|source| CgroupError::Apply {
                data: format!("{limits:?}"),
                path: group.path().to_owned(),
                source,
            }),
        };
        apply(&self.group.memory, limit_memory)?;
        apply(&self.group.cpu, limit_cpu)?;
        apply(&self.group.pids, limit_pids)
    }

    pub fn add(&self, pid: i32) -> Result<(), CgroupError> {
        self.group.groups().try_for_each(|group| group.add(pid))
    }

    /// From all hierarchies: a process that moved itself out of one is still in the others.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        let mut pids = BTreeSet::new();
        for group in self.group.groups() {
            pids.extend(group.pids()?);
        }
        Ok(pids.into_iter().collect())
    }

    /// In any hierarchy; asked for every connection to a code server, so the first that knows it will do.
    pub fn contains(&self, pid: i32) -> Result<bool, CgroupError> {
        for group in self.group.groups() {
            if group.pids()?.contains(&pid) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn usage(&self) -> Usage {
        let number =
            |group: &Option<Group>, name: &str| group.as_ref().and_then(|group| file::number(&group.file(name)));
        let oom_control = self.group.memory.as_ref().map(|group| group.file("memory.oom_control"));
        Usage {
            memory_bytes: number(&self.group.memory, "memory.usage_in_bytes"),
            memory_bytes_peak: number(&self.group.memory, "memory.max_usage_in_bytes"),
            oom_kills: oom_control.and_then(|path| file::keyed_number(&path, "oom_kill")).unwrap_or(0),
            pids: number(&self.group.pids, "pids.current"),
            cpu_us: number(&self.group.cpuacct, "cpuacct.usage").map(|ns| ns / 1_000),
        }
    }

    pub fn oom_events(&self) -> Result<Option<OomEvents>, CgroupError> {
        self.group.memory.as_ref().map(|group| OomEvents::of_v1(group.path())).transpose()
    }

    pub fn kill(&self) -> Result<(), CgroupError> {
        let Some(first) = self.group.groups().next() else { return Ok(()) };
        self.kill_frozen();
        kill_each(first, || self.pids())
    }

    /// A fork bomb outruns a list of pids, so nobody may run while the list is worked off. Best effort: the rounds
    /// that follow need no freezer.
    fn kill_frozen(&self) {
        let Some(group) = &self.group.freezer else { return };
        let freezer = FreezerController::new(group.path().to_owned(), group.path().to_owned(), false);
        if freezer.freeze().is_ok() {
            wait_until(FREEZE_WAIT_MAX, || !matches!(freezer.state(), Ok(FreezerState::Freezing)));
            self.pids().iter().flatten().for_each(|pid| kill(*pid));
        }
        // Frozen processes take their SIGKILL when they thaw.
        let _ = freezer.thaw();
    }

    pub fn remove_below(&self) -> Result<usize, CgroupError> {
        let names = self.group.children()?;
        names.iter().try_for_each(|name| Self { node: None, group: self.group.at(name) }.remove())?;
        Ok(names.len())
    }

    pub fn remove(&self) -> Result<(), CgroupError> {
        self.group.groups().try_for_each(Group::remove)?;
        self.node.iter().for_each(Hierarchies::remove_if_unused);
        Ok(())
    }
}

fn limit_memory(group: &Path, limits: &Limits) -> Result<(), Error> {
    let memory = MemController::new(group.to_owned(), group.to_owned(), false);
    let limit = limits.memory_bytes_max.map_or(UNLIMITED, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    // Memory plus swap is counted by some kernels only. It must never be below memory: raised first, set last.
    let counts_swap = group.join("memory.memsw.limit_in_bytes").exists();
    if counts_swap {
        memory.set_memswap_limit(UNLIMITED)?;
    }
    memory.set_limit(limit)?;
    if counts_swap { memory.set_memswap_limit(limit) } else { Ok(()) }
}

fn limit_cpu(group: &Path, limits: &Limits) -> Result<(), Error> {
    let cpu = CpuController::new(group.to_owned(), group.to_owned(), false);
    let weight = u64::from(limits.cpu_weight.unwrap_or(CPU_WEIGHT_DEFAULT));
    cpu.set_shares(weight * CPU_SHARES_DEFAULT / u64::from(CPU_WEIGHT_DEFAULT))?;
    let quota = limits.cpu_millis_max.map_or(UNLIMITED, |millis| cpu_quota_us(millis).cast_signed());
    cpu.set_cfs_period(CPU_PERIOD_US)?;
    cpu.set_cfs_quota(quota)
}

fn limit_pids(group: &Path, limits: &Limits) -> Result<(), Error> {
    let pids = PidController::new(group.to_owned(), group.to_owned(), false);
    pids.set_pid_max(limits.pids_max.map_or(MaxValue::Max, |count| MaxValue::Value(i64::from(count))))
}
