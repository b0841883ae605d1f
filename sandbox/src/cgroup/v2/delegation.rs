//! Taking over a part of the v2 hierarchy: controllers are switched on level by level, from our own group down.
//!
//! A group with controllers for its children may have no processes of its own. That is why the supervisor moves itself,
//! and everything beside it, into a leaf first. A writable mount is not enough: no container runtime does this for us.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use nix::libc;

use super::Leaf;
use crate::cgroup::{CgroupError, GroupName, LeafName, Resource, error::sentence, file, group::Group};

/// Rounds of moving processes away before we give up: each round takes what forked during the last.
const MOVE_ROUNDS_MAX: u32 = 100;

/// The leaf of the supervisor itself.
const SUPERVISOR: &str = "supervisor";

/// Our part of the hierarchy.
#[derive(Debug)]
pub(in crate::cgroup) struct Tree {
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

    /// The least limit of the group that was given to us and of those around it, as far as they can be seen.
    pub fn memory_bytes_around(&self) -> Option<u64> {
        self.root.path().ancestors().filter_map(|group| file::number(&group.join("memory.max"))).min()
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

    /// Makes the directory of a leaf.
    pub fn create_leaf(&self, name: &LeafName) -> Result<Leaf, CgroupError> {
        let leaf = match name {
            LeafName::Generation { environment, number } => {
                let node = self.environments.child(environment);
                self.create_node(&node)?;
                Leaf { group: node.child(&GroupName::from(*number)), node: Some(node) }
            }
            LeafName::Install(name) => Leaf { group: self.installer.child(name), node: None },
        };
        leaf.group.create()?;
        Ok(leaf)
    }

    /// A node that may hold leaves with limits.
    fn create_node(&self, node: &Group) -> Result<(), CgroupError> {
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
pub(in crate::cgroup) fn lists(controllers: &str, resource: Resource) -> bool {
    controllers.split_whitespace().any(|name| name == resource.controller())
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
