//! The dialect of cgroup v2: one hierarchy, controllers switched on level by level, a kill that is one write.
//!
//! Its rule that a group with controllers for its children has no processes of its own is why the supervisor moves
//! itself, and everything beside it, into a leaf first.

use std::{
    collections::BTreeMap,
    io::{Read, Seek},
    path::{Component, Path, PathBuf},
    time::Instant,
};

use nix::libc;
use rustix::event::{PollFd, PollFlags, poll};

use super::{
    CgroupError, EMPTY_WAIT_MAX, GroupName, Limits, OomEvents, Operation, Resource, Usage, file,
    group::{Group, kill_each},
    limits::{CPU_PERIOD_US, CPU_WEIGHT_DEFAULT, cpu_quota_us},
};

/// Rounds of moving processes away before we give up: each round takes what forked during the last.
const MOVE_ROUNDS_MAX: u32 = 100;

/// The leaf of the supervisor itself.
const SUPERVISOR: &str = "supervisor";

/// Our part of the hierarchy.
#[derive(Debug)]
pub(super) struct Tree {
    root: Group,
    base: Group,
    supervisor: Group,
    pub installer: Group,
    pub environments: Group,
    /// Controllers of the root that were off before.
    enabled: Vec<Resource>,
    /// Why a resource is not held.
    pub refused: BTreeMap<Resource, String>,
}

/// One leaf and the node that holds it.
#[derive(Debug)]
pub(super) struct Leaf {
    pub node: Option<Group>,
    pub group: Group,
}

impl Tree {
    /// Takes over `own`, the group that this process is in (or the one that a former run moved it from).
    pub fn open(own: &Path, subdirectory: &GroupName) -> Result<Self, CgroupError> {
        let root = Group::at(without_former_run(own, subdirectory));
        let base = root.child(subdirectory);
        let supervisor = base.fixed_child(SUPERVISOR);
        let (installer, environments) = (base.fixed_child("installer"), base.fixed_child("environments"));
        for group in [&base, &supervisor, &installer, &environments] {
            group.create()?;
        }
        move_all(&root, &supervisor)?;
        let was_on = file::read(&root.file("cgroup.subtree_control"))?;
        let mut refused = BTreeMap::new();
        for resource in Resource::ALL {
            let holders = [&root, &base, &installer, &environments];
            if let Err(reason) = holders.iter().try_for_each(|group| enable(group, resource, &supervisor)) {
                refused.insert(resource, reason);
            }
        }
        let is_ours = |resource: &Resource| !refused.contains_key(resource) && !lists(&was_on, *resource);
        let enabled = Resource::ALL.into_iter().filter(is_ours).collect();
        Ok(Self { root, base, supervisor, installer, environments, enabled, refused })
    }

    /// Undoes [`Self::open`], in the order in which the kernel allows it: leaves, controllers, ourselves. Again is fine.
    pub fn close(&self) -> Result<(), CgroupError> {
        if !self.base.path().exists() {
            return Ok(());
        }
        self.environments.remove()?;
        self.installer.remove()?;
        for resource in Resource::ALL.iter().filter(|resource| !self.refused.contains_key(resource)) {
            file::write(&self.base.file("cgroup.subtree_control"), &format!("-{resource}"))?;
        }
        for resource in &self.enabled {
            file::write(&self.root.file("cgroup.subtree_control"), &format!("-{resource}"))?;
        }
        move_all(&self.supervisor, &self.root)?;
        // Another supervisor that was started from here may have its tree below; then these stay.
        self.supervisor.remove_if_unused();
        self.base.remove_if_unused();
        Ok(())
    }

    /// A node that may hold leaves with limits.
    pub fn create_node(&self, node: &Group) -> Result<(), CgroupError> {
        node.create()?;
        for resource in Resource::ALL.iter().filter(|resource| !self.refused.contains_key(resource)) {
            file::write(&node.file("cgroup.subtree_control"), &format!("+{resource}"))?;
        }
        Ok(())
    }
}

/// The group above `<subdirectory>/supervisor`, where a former run in this container has left us.
fn without_former_run(own: &Path, subdirectory: &GroupName) -> PathBuf {
    let parts: Vec<_> = own.components().collect();
    let ours =
        |pair: &[Component<'_>]| pair[0].as_os_str() == subdirectory.as_str() && pair[1].as_os_str() == SUPERVISOR;
    let end = parts.windows(2).position(ours).unwrap_or(parts.len());
    parts[..end].iter().collect()
}

/// Moves every process of `from` to `to`. Others may fork meanwhile, so again until none is left.
///
/// The hierarchy's real root is no subject of the rule, and its kernel threads cannot be moved: there only we move.
fn move_all(from: &Group, to: &Group) -> Result<(), CgroupError> {
    if !from.file("cgroup.type").exists() {
        let own = i32::try_from(std::process::id()).expect("a pid is below 2^22 (kernel: PID_MAX_LIMIT)");
        return to.add(own);
    }
    for _ in 0..MOVE_ROUNDS_MAX {
        // 0 is a process outside of our pid namespace: nobody here can name it.
        let pids: Vec<i32> = from.own_pids()?.into_iter().filter(|pid| *pid > 0).collect();
        let moved = pids.iter().filter(|pid| to.add(**pid).is_ok()).count();
        if moved == 0 {
            // None was there, or all are foreign (EPERM, ENOENT) or gone (ESRCH): enabling will tell.
            break;
        }
    }
    Ok(())
}

fn enable(group: &Group, resource: Resource, supervisor: &Group) -> Result<(), String> {
    let offered = file::read(&group.file("cgroup.controllers")).map_err(|error| sentence(&error))?;
    if !lists(&offered, resource) {
        return Err(format!("{:?} is not offered the {resource} controller", group.path()));
    }
    let write = || file::write(&group.file("cgroup.subtree_control"), &format!("+{resource}"));
    write()
        .or_else(|error| {
            if error.errno() != Some(libc::EBUSY) {
                return Err(error);
            }
            move_all(group, supervisor)?;
            write()
        })
        .map_err(|error| sentence(&error))
}

/// Is the controller in a list as `cgroup.controllers` has it?
pub(super) fn lists(controllers: &str, resource: Resource) -> bool {
    controllers.split_whitespace().any(|name| name == resource.controller())
}

/// An error with its causes in one line, for a reason that is kept as text.
pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_finds_the_root_above_the_first_runs_leaf() {
        let name: GroupName = "pexvisor-0a".parse().expect("a name");
        let root = |own: &str| without_former_run(Path::new(own), &name);
        assert_eq!(root("/cg"), Path::new("/cg"));
        assert_eq!(root("/cg/pexvisor-0a/supervisor"), Path::new("/cg"));
        assert_eq!(root("/cg/pexvisor-0a/supervisor/pexvisor-0b/supervisor"), Path::new("/cg"));
        assert_eq!(root("/cg/pexvisor-0b/supervisor"), Path::new("/cg/pexvisor-0b/supervisor"));
    }
}
