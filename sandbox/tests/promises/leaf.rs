//! Promises of a leaf, on every dialect that this machine has: nobody gets out, nobody survives, nothing is left.

use pexvisor_sandbox::{
    End, Spec,
    cgroup::{CgroupError, LeafName, Limits, Tier, Usage},
};

use crate::{
    support::{end_of, shell, start},
    trees::{self, TestTree, start_in, until},
};

#[test]
fn a_killed_leaf_takes_daemons_along() {
    kill_daemons(&trees::best());
}

#[test]
fn a_killed_leaf_takes_daemons_along_v2() {
    kill_daemons(&trees::v2());
}

#[test]
fn a_killed_leaf_takes_daemons_along_without_cgroups() {
    kill_daemons(&trees::none());
}

/// Forks twice and begins a session: no parent, no group, no session in common with the rest.
const DAEMON: &str = "(setsid sh -c 'sleep 61 & exit' &); exec sleep 62";

fn kill_daemons(tree: &TestTree) {
    nix::sys::prctl::set_child_subreaper(true).expect("Linux 3.4");
    let (leaf, pid) = start_in(tree, 1, &Limits::default(), shell(DAEMON));
    let sleeps = || -> Vec<i32> {
        let pids = leaf.pids().expect("a list").into_iter();
        pids.filter(|pid| names(&[*pid]) == ["sleep"]).collect()
    };
    until("both sleeps run", || sleeps().len() == 2);
    assert!(leaf.contains(pid).expect("a list"));
    assert!(!leaf.contains(1).expect("a list"));
    let pids = sleeps();
    leaf.kill().expect("a killed leaf");
    assert_eq!(leaf.pids().expect("a list"), Vec::<i32>::new());
    for pid in pids {
        assert_eq!(end_of(pid), End::Signal(9));
    }
    leaf.remove().expect("an empty leaf");
    leaf.remove().expect("again");
    assert!(tree.groups().iter().all(|group| !group.ends_with("1") && !group.ends_with("etl")), "{:?}", tree.groups());
}

fn names(pids: &[i32]) -> Vec<String> {
    let name = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    pids.iter().filter_map(name).map(|name| name.trim().to_owned()).collect()
}

#[test]
fn what_a_killed_supervisor_left_is_gone_at_the_next_start() {
    clear_what_was_left(&trees::best());
}

#[test]
fn what_a_killed_supervisor_left_is_gone_at_the_next_start_v2() {
    clear_what_was_left(&trees::v2());
}

#[test]
fn what_a_killed_supervisor_left_is_gone_at_the_next_start_without_cgroups() {
    clear_what_was_left(&trees::none());
}

fn clear_what_was_left(tree: &TestTree) {
    let (_, first) = start_in(tree, 1, &Limits::default(), shell("exec sleep 63"));
    let (_, second) = start_in(tree, 2, &Limits::default(), shell("exec sleep 64"));
    let (_other_tree, other) = (trees::none(), start(&Spec::new(shell("exec sleep 65")).expect("a good spec")));
    let gone = tree.reopen().clear_leftovers().expect("nothing survives");
    assert_eq!(gone.processes, 2);
    assert_eq!((end_of(first), end_of(second)), (End::Signal(9), End::Signal(9)));
    assert_eq!(tree.reopen().clear_leftovers().expect("nothing there"), Default::default());
    assert_eq!(names(&[other]), ["sleep"], "a process of nobody's was hit");
    pexvisor_sandbox::stray::kill_tree(other).expect("ours to kill");
}

#[test]
fn two_hundred_programs_leave_no_zombie_and_no_directory() {
    let tree = trees::best();
    let before = tree.groups();
    for generation in 0..200 {
        let (leaf, pid) = start_in(&tree, generation, &Limits::default(), shell("exit 5"));
        assert_eq!(end_of(pid), End::Code(5));
        leaf.kill().expect("a killed leaf");
        leaf.remove().expect("an empty leaf");
    }
    assert_eq!(tree.groups(), before);
    let children = std::fs::read_to_string(format!("/proc/self/task/{}/children", nix::unistd::gettid()));
    assert_eq!(children.expect("procfs"), "");
}

#[test]
fn a_closed_tree_leaves_no_process_and_no_directory() {
    let tree = trees::best();
    let before = std::fs::read_to_string("/proc/self/cgroup").expect("procfs");
    let (_, pid) = start_in(&tree, 1, &Limits::default(), shell("exec sleep 67"));
    assert_eq!(tree.tree.close().expect("nothing survives").processes, 1);
    assert_eq!(end_of(pid), End::Signal(9));
    assert!(tree.bases.iter().all(|base| !base.exists()), "{:?}", tree.bases);
    let (name, limits) = (LeafName::Install("late".parse().expect("a good name")), Limits::default());
    assert!(matches!(tree.tree.create_leaf(&name, &limits), Err(CgroupError::Closed)));
    // And again as at the next start; this process is back where it was after each.
    let again = tree.reopen();
    again.close().expect("nothing there");
    let after = std::fs::read_to_string("/proc/self/cgroup").expect("procfs");
    let moved = before.contains(&*tree.subdirectory.to_string());
    assert!(moved || before == after, "{before} became {after}");
}

#[test]
fn leaves_of_one_environment_come_and_go_at_the_same_time() {
    let tree = trees::best();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let tree = &tree;
            scope.spawn(move || {
                for round in 0..50 {
                    tree.leaf(thread * 1_000 + round, &Limits::default()).remove().expect("an empty leaf");
                }
            });
        }
    });
}

#[test]
fn a_group_that_a_program_made_below_its_leaf_goes_with_it() {
    let tree = trees::v2();
    let (leaf, pid) = start_in(&tree, 1, &Limits::default(), shell("exec sleep 66"));
    let own = tree.groups().into_iter().find(|group| group.ends_with("environments/etl/1")).expect("the leaf");
    std::fs::create_dir(own.join("hidden")).expect("a group");
    std::fs::write(own.join("hidden/cgroup.procs"), pid.to_string()).expect("moved");
    assert!(leaf.contains(pid).expect("a list"));
    leaf.kill().expect("a killed leaf");
    assert_eq!(end_of(pid), End::Signal(9));
    leaf.remove().expect("an empty leaf");
}

#[test]
fn a_process_in_a_leaf_is_known_for_one_whether_it_serves_or_installs() {
    for tree in [trees::best(), trees::v2()] {
        let (serving, server) = start_in(&tree, 1, &Limits::default(), shell("exec sleep 68"));
        let name = LeafName::Install("1".parse().expect("a good name"));
        let installing = tree.tree.create_leaf(&name, &Limits::default()).expect("a leaf");
        let installer = start(&Spec::new(shell("exec sleep 69")).expect("a good spec").in_leaf(&installing));
        let us = std::process::id().cast_signed();
        let held = [server, installer, us].map(|pid| tree.tree.leaves_hold(pid).expect("it lives"));
        assert_eq!(held, [true, true, false]);
        for (leaf, pid) in [(serving, server), (installing, installer)] {
            leaf.kill().expect("a killed leaf");
            assert_eq!(end_of(pid), End::Signal(9));
        }
    }
}

#[test]
fn the_tiers_are_told_with_their_reasons() {
    let tiers = |tree: &TestTree| tree.tree.enforcement().map(|held| (held.tier, held.reason.is_empty()));
    let best = tiers(&trees::best());
    assert!(best == [(Tier::KernelV1, true); 3] || best == [(Tier::KernelV2, true); 3], "{best:?}");
    assert_eq!(tiers(&trees::none()), [(Tier::None, false); 3]);
}

#[test]
fn a_leaf_without_cgroups_counts_nothing() {
    let tree = trees::none();
    assert_eq!(tree.leaf(1, &Limits::default()).usage(), Usage::default());
}
