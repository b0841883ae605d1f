//! Our groups in v1's hierarchies: one directory per controller for each group, wherever that is mounted and writable.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::Leaf;
use crate::cgroup::{CgroupError, GroupName, LeafName, Resource, error::sentence, file, group::Group};

/// What v1 shows for "no limit" is just below this: `PAGE_COUNTER_MAX` pages (include/linux/page_counter.h).
const NO_LIMIT_BYTES: u64 = 1 << 62;

/// Our part of the hierarchies.
#[derive(Debug)]
pub(in crate::cgroup) struct Tree {
    base: Hierarchies,
    /// Why a resource is not held.
    pub refused: BTreeMap<Resource, String>,
}

/// The same group in every hierarchy that is mounted and writable.
#[derive(Clone, Debug, Default)]
pub(in crate::cgroup) struct Hierarchies {
    pub memory: Option<Group>,
    pub cpu: Option<Group>,
    pub cpuacct: Option<Group>,
    pub pids: Option<Group>,
    pub freezer: Option<Group>,
}

impl Tree {
    /// Makes `subdirectory` in our own group of each hierarchy; `None` when none allows it.
    pub fn open(own: &BTreeMap<String, PathBuf>, subdirectory: &GroupName) -> Result<Self, String> {
        let mut reasons = BTreeMap::new();
        let mut make = |controller: &'static str| {
            let made = make_base(own.get(controller), subdirectory);
            made.map_err(|reason| reasons.insert(controller, reason)).ok()
        };
        let base = Hierarchies {
            memory: make("memory"),
            cpu: make("cpu"),
            cpuacct: make("cpuacct"),
            pids: make("pids"),
            freezer: make("freezer"),
        };
        if base.groups().next().is_none() {
            let reasons: BTreeSet<String> = reasons.into_values().collect();
            return Err(reasons.into_iter().collect::<Vec<_>>().join("; "));
        }
        let refused = |resource: Resource| Some((resource, reasons.remove(resource.controller())?));
        Ok(Self { base, refused: Resource::ALL.into_iter().filter_map(refused).collect() })
    }

    /// Undoes [`Self::open`].
    pub fn close(&self) -> Result<(), CgroupError> {
        self.base.groups().try_for_each(Group::remove)
    }

    /// Makes the directories of a leaf.
    pub fn create_leaf(&self, name: &LeafName) -> Result<Leaf, CgroupError> {
        let leaf = match name {
            LeafName::Generation { environment, number } => {
                let node = self.environments().child(environment);
                node.create()?;
                Leaf { group: node.child(&GroupName::from(*number)), node: Some(node) }
            }
            LeafName::Install(name) => Leaf { group: self.installer().child(name), node: None },
        };
        leaf.group.create()?;
        Ok(leaf)
    }

    /// The kernel sums up the limits of a group and those around it. A limit that is none is as long as an address.
    pub fn memory_bytes_around(&self) -> Option<u64> {
        let stat = self.base.memory.as_ref()?.file("memory.stat");
        file::keyed_number(&stat, "hierarchical_memory_limit").filter(|limit| *limit < NO_LIMIT_BYTES)
    }

    pub fn installer(&self) -> Hierarchies {
        self.base.map(|group| group.fixed_child("installer"))
    }

    pub fn environments(&self) -> Hierarchies {
        self.base.map(|group| group.fixed_child("environments"))
    }
}

fn make_base(own: Option<&PathBuf>, subdirectory: &GroupName) -> Result<Group, String> {
    let base = Group::at(own.ok_or("no such cgroup v1 hierarchy is mounted")?).child(subdirectory);
    base.create().and_then(|()| base.fixed_child("installer").create()).map_err(|error| sentence(&error))?;
    base.fixed_child("environments").create().map_err(|error| sentence(&error))?;
    Ok(base)
}

impl Hierarchies {
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        [&self.memory, &self.cpu, &self.cpuacct, &self.pids, &self.freezer].into_iter().flatten()
    }

    fn map(&self, step: impl Fn(&Group) -> Group) -> Self {
        let map = |group: &Option<Group>| group.as_ref().map(&step);
        Self {
            memory: map(&self.memory),
            cpu: map(&self.cpu),
            cpuacct: map(&self.cpuacct),
            pids: map(&self.pids),
            freezer: map(&self.freezer),
        }
    }

    pub fn child(&self, name: &GroupName) -> Self {
        self.map(|group| group.child(name))
    }

    pub fn create(&self) -> Result<(), CgroupError> {
        self.groups().try_for_each(Group::create)
    }

    pub fn remove_if_unused(&self) {
        self.groups().for_each(Group::remove_if_unused);
    }

    /// The names of the groups right below, in any hierarchy.
    pub fn children(&self) -> Result<BTreeSet<PathBuf>, CgroupError> {
        let mut names = BTreeSet::new();
        for group in self.groups() {
            names.extend(group.children()?.iter().filter_map(|child| child.path().file_name().map(PathBuf::from)));
        }
        Ok(names)
    }

    pub fn at(&self, name: &Path) -> Self {
        self.map(|group| Group::at(group.path().join(name)))
    }
}
