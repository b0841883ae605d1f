//! The fourth layer: our tree, whichever dialect it is in.
//!
//! ```text
//! <our own group>/<subdirectory>/supervisor                          pexvisor itself (v2 only: there it must move)
//!                                installer/<name>                    one install
//!                                environments/<name>/<generation>    one generation
//! ```

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    CgroupError, Enforcement, GroupName, Leaf, Limits, Mounts, Operation, Resource, Tier, ending::is_ending,
    error::sentence, file, leaf::Dialect, loose, v1, v2,
};
use crate::stray::{self, Marker};

/// How often a leaf is made again when its node was removed at that moment as unused.
const CREATE_ROUNDS_MAX: u32 = 10;

/// All groups of this supervisor.
#[derive(Debug)]
pub struct Tree {
    dialect: TreeDialect,
    /// No leaf is made any more.
    closed: AtomicBool,
    /// The mark of every process in the tree, for where there is no cgroup.
    marker: Marker,
    /// Parts of the groups' paths of processes in leaves: environments and installers.
    leaf_paths: [String; 2],
}

#[derive(Debug)]
enum TreeDialect {
    V1(v1::Tree),
    V2(v2::Tree),
    Loose { reason: String },
}

/// Which leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeafName {
    /// One generation of an environment.
    Generation {
        /// The environment.
        environment: GroupName,
        /// The generation's number.
        number: u64,
    },
    /// One install.
    Install(GroupName),
}

/// What a former supervisor had left, now gone.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Environments and installs whose groups were removed.
    pub groups: usize,
    /// Processes that were killed.
    pub processes: usize,
}

impl Tree {
    /// The best tree that `mounts` allow, with `subdirectory` as its name beside other supervisors' trees. `marker`
    /// matches every process that the tree will ever hold.
    ///
    /// Never fails: where no group can be made everything works without, and [`Self::enforcement`] says why.
    pub fn open(mounts: &Mounts, subdirectory: &GroupName, marker: Marker) -> Self {
        let v1 = || v1::Tree::open(&mounts.v1, subdirectory).map(TreeDialect::V1);
        let v2 = || match &mounts.v2 {
            Some(own) => v2::Tree::open(own, subdirectory).map(TreeDialect::V2).map_err(|error| sentence(&error)),
            None => Err("no cgroup v2 hierarchy is mounted".to_owned()),
        };
        // A v2 hierarchy without controllers (the hybrid layout) can only list and kill: v1 comes first then.
        let opened = if mounts.v2.as_deref().is_some_and(offers_controllers) {
            v2().or_else(|first| v1().map_err(|second| format!("{first}; {second}")))
        } else {
            v1().or_else(|first| v2().map_err(|second| format!("{first}; {second}")))
        };
        let leaf_paths = ["environments", "installer"].map(|node| format!("/{subdirectory}/{node}/"));
        let dialect = opened.unwrap_or_else(|reason| TreeDialect::Loose { reason });
        Self { dialect, closed: AtomicBool::new(false), marker, leaf_paths }
    }

    /// A tree without any group, for `reason`.
    pub fn none(reason: impl Into<String>, marker: Marker) -> Self {
        let dialect = TreeDialect::Loose { reason: reason.into() };
        Self { dialect, closed: AtomicBool::new(false), marker, leaf_paths: Default::default() }
    }

    /// Does the process `pid` run in a leaf, as part of an environment or of an installer? By its group
    /// (proc_pid_cgroup(5)); without groups by its mark, which a process can take off.
    ///
    /// # Errors
    /// When there is no such process, or it is ending: nobody can tell any more where it ran.
    pub fn leaves_hold(&self, pid: i32) -> Result<bool, CgroupError> {
        let path = format!("/proc/{pid}/cgroup");
        let read = |source| CgroupError::io(Operation::Read, &path)(source);
        let groups = std::fs::read_to_string(&path).map_err(read)?;
        let held = match &self.dialect {
            TreeDialect::Loose { .. } => self.marker.is_on(pid),
            TreeDialect::V1(_) | TreeDialect::V2(_) => self.leaf_paths.iter().any(|path| groups.contains(path)),
        };
        // After the look, not before it: a process that ends shows "/" for its v1 groups, and no environment.
        if is_ending(pid).map_err(read)? { Err(read(io::ErrorKind::NotFound.into())) } else { Ok(held) }
    }

    /// What holds each resource.
    pub fn enforcement(&self) -> [Enforcement; 3] {
        Resource::ALL.map(|resource| {
            let (tier, reason) = match &self.dialect {
                TreeDialect::V1(tree) => (Tier::KernelV1, tree.refused.get(&resource)),
                TreeDialect::V2(tree) => (Tier::KernelV2, tree.refused.get(&resource)),
                TreeDialect::Loose { reason } => (Tier::None, Some(reason)),
            };
            let tier = if reason.is_some() { Tier::None } else { tier };
            Enforcement { resource, tier, reason: reason.cloned().unwrap_or_default() }
        })
    }

    /// Makes the leaf `name` with `limits`.
    ///
    /// # Errors
    /// When the kernel refuses the directory or a limit; [`CgroupError::Closed`] after [`Self::close`].
    pub fn create_leaf(&self, name: &LeafName, limits: &Limits) -> Result<Leaf, CgroupError> {
        let mut leaf = self.make_leaf(name);
        for _ in 1..CREATE_ROUNDS_MAX {
            match &leaf {
                Err(error) if error.is_gone() => leaf = self.make_leaf(name),
                _ => break,
            }
        }
        let leaf = leaf?;
        leaf.limit(limits)?;
        Ok(leaf)
    }

    fn make_leaf(&self, name: &LeafName) -> Result<Leaf, CgroupError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(CgroupError::Closed);
        }
        let dialect = match &self.dialect {
            TreeDialect::V1(tree) => Dialect::V1(tree.create_leaf(name)?),
            TreeDialect::V2(tree) => Dialect::V2(tree.create_leaf(name)?),
            TreeDialect::Loose { .. } => Dialect::Loose(loose::Leaf::new(&self.marker.variable())),
        };
        Ok(Leaf(Arc::new(dialect)))
    }

    /// Bytes of memory that this tree may use together with all else in the container: the least limit on our own group
    /// and those around it. `None` without such a limit, or where none can be seen.
    pub fn memory_bytes_around(&self) -> Option<u64> {
        match &self.dialect {
            TreeDialect::V1(tree) => tree.memory_bytes_around(),
            TreeDialect::V2(tree) => tree.memory_bytes_around(),
            TreeDialect::Loose { .. } => None,
        }
    }

    /// Limits all environments together, so that the container's own limit is never reached.
    ///
    /// # Errors
    /// As [`Leaf::limit`].
    pub fn limit_environments(&self, limits: &Limits) -> Result<(), CgroupError> {
        match &self.dialect {
            TreeDialect::V1(tree) => {
                let group = tree.environments();
                group.create()?;
                v1::Leaf { node: None, group }.limit(limits)
            }
            TreeDialect::V2(tree) => v2::Leaf { node: None, group: tree.environments.clone() }.limit(limits),
            TreeDialect::Loose { .. } => Ok(()),
        }
    }

    /// Kills and removes everything that a former supervisor of this tree left. Call it before the first leaf is made.
    ///
    /// # Errors
    /// When a process does not die or a group cannot be removed.
    pub fn clear_leftovers(&self) -> Result<Leftovers, CgroupError> {
        let mut gone = Leftovers::default();
        for leaf in self.nodes().into_iter().flatten() {
            gone.processes += leaf.pids()?.len();
            leaf.kill()?;
            gone.groups += leaf.remove_below()?;
        }
        // Also where there are cgroups now: the former supervisor may have had none.
        gone.processes += stray::kill_marked(&self.marker).map_err(CgroupError::io(super::Operation::Kill, "/proc"))?;
        Ok(gone)
    }

    /// Kills and removes everything in the tree and then the tree itself, as it was before [`Self::open`]: for a
    /// supervisor that ends while its container goes on.
    ///
    /// # Errors
    /// As [`Self::clear_leftovers`].
    pub fn close(&self) -> Result<Leftovers, CgroupError> {
        self.closed.store(true, Ordering::SeqCst);
        // A leaf made just before may have taken a process after the kill; then once more, for the last time.
        self.remove().or_else(|_| self.remove())
    }

    fn remove(&self) -> Result<Leftovers, CgroupError> {
        let gone = self.clear_leftovers()?;
        match &self.dialect {
            TreeDialect::V1(tree) => tree.close()?,
            TreeDialect::V2(tree) => tree.close()?,
            TreeDialect::Loose { .. } => {}
        }
        Ok(gone)
    }

    /// The nodes of all leaves, as if they were leaves.
    fn nodes(&self) -> Option<[Leaf; 2]> {
        let nodes = match &self.dialect {
            TreeDialect::V1(tree) => {
                [tree.installer(), tree.environments()].map(|group| Dialect::V1(v1::Leaf { node: None, group }))
            }
            TreeDialect::V2(tree) => [&tree.installer, &tree.environments]
                .map(|group| Dialect::V2(v2::Leaf { node: None, group: group.clone() })),
            TreeDialect::Loose { .. } => return None,
        };
        Some(nodes.map(|dialect| Leaf(Arc::new(dialect))))
    }
}

fn offers_controllers(own: &Path) -> bool {
    let offered = file::read(&own.join("cgroup.controllers")).unwrap_or_default();
    Resource::ALL.iter().any(|resource| v2::lists(&offered, *resource))
}
