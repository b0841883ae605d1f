//! One leaf: the box of one process tree, the same type whatever the kernel offers.
//!
//! Only leaves take processes. A leaf outlives its handle: it goes when it is removed, or at the next boot.

use std::{collections::BTreeMap, sync::Arc};

use super::{CgroupError, Limits, OomEvents, Usage, loose, v1, v2};

/// A handle; clones name the same leaf.
#[derive(Clone, Debug)]
pub struct Leaf(pub(super) Arc<Dialect>);

/// How this container does it.
#[derive(Debug)]
pub(super) enum Dialect {
    V1(v1::Leaf),
    V2(v2::Leaf),
    Loose(loose::Leaf),
}

impl Leaf {
    /// Sets the limits that are `Some`; those that nothing holds here are left out, see `Tree::enforcement`.
    ///
    /// # Errors
    /// When the kernel refuses a value: EBUSY for a v1 memory limit below what is used.
    pub fn limit(&self, limits: &Limits) -> Result<(), CgroupError> {
        match &*self.0 {
            Dialect::V1(leaf) => leaf.limit(limits),
            Dialect::V2(leaf) => leaf.limit(limits),
            Dialect::Loose(_) => Ok(()),
        }
    }

    /// Moves the process `pid` with its threads, not its children, into the leaf.
    ///
    /// # Errors
    /// ESRCH when it has ended.
    pub fn add(&self, pid: i32) -> Result<(), CgroupError> {
        match &*self.0 {
            Dialect::V1(leaf) => leaf.add(pid),
            Dialect::V2(leaf) => leaf.add(pid),
            Dialect::Loose(leaf) => {
                leaf.add(pid);
                Ok(())
            }
        }
    }

    /// Adds the process that will run a program with the environment `env`: without a cgroup its offspring is
    /// known by a variable of it.
    pub(crate) fn admit(&self, pid: i32, env: &BTreeMap<String, String>) -> Result<(), CgroupError> {
        if let Dialect::Loose(leaf) = &*self.0 {
            leaf.recognise_by(env);
        }
        self.add(pid)
    }

    /// The processes in the leaf.
    ///
    /// # Errors
    /// When the kernel does not list them.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        match &*self.0 {
            Dialect::V1(leaf) => leaf.pids(),
            Dialect::V2(leaf) => leaf.pids(),
            Dialect::Loose(leaf) => Ok(leaf.pids()),
        }
    }

    /// Is the process `pid` in the leaf now?
    ///
    /// # Errors
    /// As [`Self::pids`].
    pub fn contains(&self, pid: i32) -> Result<bool, CgroupError> {
        match &*self.0 {
            Dialect::V1(leaf) => leaf.contains(pid),
            Dialect::V2(leaf) => leaf.contains(pid),
            Dialect::Loose(leaf) => Ok(leaf.pids().contains(&pid)),
        }
    }

    /// What the leaf has used. Read it before [`Self::remove`].
    pub fn usage(&self) -> Usage {
        match &*self.0 {
            Dialect::V1(leaf) => leaf.usage(),
            Dialect::V2(leaf) => leaf.usage(),
            Dialect::Loose(_) => Usage::default(),
        }
    }

    /// The kernel's word of every OOM kill in the leaf; `None` where nothing holds memory.
    ///
    /// # Errors
    /// When the kernel does not let it be watched, or no descriptor is left.
    pub fn oom_events(&self) -> Result<Option<OomEvents>, CgroupError> {
        match &*self.0 {
            Dialect::V1(leaf) => leaf.oom_events(),
            Dialect::V2(leaf) => leaf.oom_events(),
            Dialect::Loose(_) => Ok(None),
        }
    }

    /// Kills every process in the leaf and waits until it is empty; what is forked meanwhile dies too.
    ///
    /// # Errors
    /// [`CgroupError::StillAlive`] after [`super::EMPTY_WAIT_MAX`].
    pub fn kill(&self) -> Result<(), CgroupError> {
        match &*self.0 {
            Dialect::V1(leaf) => leaf.kill(),
            Dialect::V2(leaf) => leaf.kill(),
            Dialect::Loose(leaf) => leaf.kill(),
        }
    }

    /// Of a node of leaves that is taken for one: removes all groups below it; the number of those right below.
    pub(super) fn remove_below(&self) -> Result<usize, CgroupError> {
        match &*self.0 {
            Dialect::V1(leaf) => leaf.remove_below(),
            Dialect::V2(leaf) => leaf.remove_below(),
            Dialect::Loose(_) => Ok(0),
        }
    }

    /// Removes the leaf, which must be empty; one that is gone is fine.
    ///
    /// # Errors
    /// EBUSY when a process is still in it.
    pub fn remove(&self) -> Result<(), CgroupError> {
        match &*self.0 {
            Dialect::V1(leaf) => leaf.remove(),
            Dialect::V2(leaf) => leaf.remove(),
            Dialect::Loose(_) => Ok(()),
        }
    }
}
