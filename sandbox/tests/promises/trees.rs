//! Trees in the machine's own cgroup file systems, gone again when the test ends.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use pexvisor_sandbox::{
    Program, Spec,
    cgroup::{GroupName, Leaf, LeafName, Limits, Mounts, Tier, Tree},
    stray::Marker,
};

use crate::support::start;

/// How long an event that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// A tree and what it is made of, to look at from outside.
pub struct TestTree {
    pub tree: Tree,
    /// The tree's directory in each hierarchy.
    pub bases: Vec<PathBuf>,
    pub subdirectory: GroupName,
    pub mounts: Mounts,
    /// A directory to remove at the end, beside the bases.
    root: Option<PathBuf>,
}

/// A tree in the hierarchies of this machine that have controllers, v1's or v2's.
pub fn best() -> TestTree {
    let tree = open(Mounts::discover().expect("procfs"), None);
    let held = tree.tree.enforcement();
    assert!(held.iter().all(|held| held.tier != Tier::None), "this test needs writable control groups: {held:?}");
    tree
}

/// A tree in a group of its own in the v2 hierarchy of this machine; perhaps without controllers.
pub fn v2() -> TestTree {
    let own = Mounts::discover().expect("procfs").v2.expect("this test needs a cgroup v2 mount, hybrid or not");
    let root = own.join(unique("root"));
    fs::create_dir(&root).expect("this test needs a writable cgroup v2 mount");
    open(Mounts { v2: Some(root.clone()), v1: BTreeMap::new() }, Some(root))
}

/// No cgroup at all.
pub fn none() -> TestTree {
    open(Mounts::default(), None)
}

fn open(mounts: Mounts, root: Option<PathBuf>) -> TestTree {
    let subdirectory: GroupName = unique("pexvisor-test").parse().expect("a good name");
    let tree = Tree::open(&mounts, &subdirectory, marker(&subdirectory));
    let owns = mounts.v1.values().chain(&mounts.v2);
    let bases = owns.map(|own| own.join(subdirectory.to_string())).filter(|base| base.exists()).collect();
    TestTree { tree, bases, subdirectory, mounts, root }
}

/// No two tests may share a group, and tests run as processes and as threads.
fn unique(stem: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub fn marker(subdirectory: &GroupName) -> Marker {
    Marker::prefix("PEXVISOR_SOCKET", &format!("/nowhere/{subdirectory}/"))
}

impl TestTree {
    pub fn leaf(&self, number: u64, limits: &Limits) -> Leaf {
        let environment = "etl".parse().expect("a good name");
        self.tree.create_leaf(&LeafName::Generation { environment, number }, limits).expect("a leaf")
    }

    /// What a supervisor that starts after this one was killed would make of it.
    pub fn reopen(&self) -> Tree {
        Tree::open(&self.mounts, &self.subdirectory, marker(&self.subdirectory))
    }

    /// A value of the variable that marks the tree's processes.
    pub fn mark(&self, generation: u64) -> (String, String) {
        ("PEXVISOR_SOCKET".to_owned(), format!("/nowhere/{}/{generation}", self.subdirectory))
    }

    /// All nodes and leaves of the tree, by path, in all hierarchies.
    pub fn groups(&self) -> Vec<PathBuf> {
        let nodes = self.bases.iter().flat_map(|base| [base.join("installer"), base.join("environments")]);
        let mut groups: Vec<PathBuf> = nodes.flat_map(|node| [vec![node.clone()], below(&node)].concat()).collect();
        groups.sort();
        groups
    }
}

/// Starts the program in a new leaf of the tree, marked as the tree's processes are.
pub fn start_in(tree: &TestTree, generation: u64, limits: &Limits, program: Program) -> (Leaf, i32) {
    let leaf = tree.leaf(generation, limits);
    let env = [tree.mark(generation)].into();
    let spec = Spec::new(Program { env, ..program }).expect("a good spec").in_leaf(&leaf);
    let pid = start(&spec);
    (leaf, pid)
}

fn below(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    let children = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
    children.flat_map(|child| [vec![child.clone()], below(&child)].concat()).collect()
}

impl Drop for TestTree {
    fn drop(&mut self) {
        self.tree.close().expect("nothing survives");
        if let Some(root) = &self.root {
            fs::remove_dir(root).expect("an empty group");
        }
    }
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
