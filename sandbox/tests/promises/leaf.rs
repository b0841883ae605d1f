//! Promises of a leaf, on every dialect that this machine has: nobody gets out, nobody survives, nothing is left.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use crate::support::{end_of, shell, start};
use crate::trees::{self, TestTree, until};
use pexvisor_sandbox::{
    End, Exit, Program, Spec,
    cgroup::{Limits, OomEvents, Tier, Usage},
};

/// Bytes of a limit that a shell keeps and a hog exceeds at once.
const MEMORY_BYTES: u64 = 32 << 20;

/// A Python that doubles what it holds until it dies.
const HOG: &str = "b = bytearray(1 << 20)\nwhile True: b += bytes(len(b))";

/// A Python that holds 64 MB and waits.
const HOLDER: &str = "import time\nb = bytearray(b'x' * (64 << 20))\ntime.sleep(60)";

fn python(script: &str) -> Program {
    let args = vec!["-c".to_owned(), script.to_owned()];
    Program { path: "/usr/bin/python3".into(), args, ..shell("") }
}

fn start_in(
    tree: &TestTree,
    generation: u64,
    limits: &Limits,
    program: Program,
) -> (pexvisor_sandbox::cgroup::Leaf, i32) {
    let leaf = tree.leaf(generation, limits);
    let env = [tree.mark(generation)].into();
    let spec = Spec::new(Program { env, ..program }).expect("a good spec").in_leaf(&leaf);
    let pid = start(&spec);
    (leaf, pid)
}

#[test]
fn a_memory_limit_kills_and_the_exit_says_so() {
    let tree = trees::best();
    let limits = Limits { memory_bytes_max: Some(MEMORY_BYTES), ..Limits::default() };
    let (leaf, pid) = start_in(&tree, 1, &limits, python(HOG));
    let exit = Exit::new(end_of(pid), &leaf.usage());
    assert_eq!((exit.end, exit.out_of_memory), (End::Signal(9), true));
    assert!((MEMORY_BYTES / 2..=MEMORY_BYTES).contains(&exit.memory_bytes_peak), "{exit:?}");
    assert!(exit.to_string().starts_with("killed by SIGKILL (out of memory, peak "), "{exit}");
    leaf.remove().expect("an empty leaf");
}

#[test]
fn a_program_that_kills_itself_is_not_called_out_of_memory() {
    let tree = trees::best();
    let limits = Limits { memory_bytes_max: Some(MEMORY_BYTES), ..Limits::default() };
    let (leaf, pid) = start_in(&tree, 1, &limits, shell("kill -KILL $$"));
    assert!(!Exit::new(end_of(pid), &leaf.usage()).out_of_memory);
}

#[test]
fn a_process_limit_stops_a_bomb_and_a_kill_ends_it() {
    let tree = trees::best();
    let limits = Limits { pids_max: Some(50), ..Limits::default() };
    let bomb = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass";
    let (leaf, pid) = start_in(&tree, 1, &limits, python(bomb));
    until("50 processes", || leaf.usage().pids == Some(50));
    leaf.kill().expect("a killed leaf");
    assert_eq!(end_of(pid), End::Signal(9));
    assert_eq!(leaf.pids().expect("a list"), Vec::<i32>::new());
}

#[test]
fn a_cpu_limit_holds_a_busy_program_back() {
    let tree = trees::best();
    let limits = Limits { cpu_millis_max: Some(100), ..Limits::default() };
    let (leaf, _) = start_in(&tree, 1, &limits, shell("while :; do :; done"));
    let (before, began) = (leaf.usage().cpu_us.expect("counted"), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let used_us = leaf.usage().cpu_us.expect("counted") - before;
    let share = used_us as f64 / began.elapsed().as_micros() as f64;
    assert!(share < 0.25, "used {share:.2} of a core under a limit of 0.1");
}

#[test]
fn limits_change_while_a_program_runs() {
    let tree = trees::best();
    let (leaf, _) = start_in(&tree, 1, &Limits::default(), shell("sleep 60"));
    for bytes in [Some(MEMORY_BYTES), Some(2 * MEMORY_BYTES), Some(MEMORY_BYTES), None] {
        leaf.limit(&Limits { memory_bytes_max: bytes, ..Limits::default() }).expect("a limit above what is used");
    }
}

#[test]
fn a_limit_below_what_is_used_is_refused_by_v1_and_kills_on_v2() {
    let tree = trees::best();
    let (leaf, pid) = start_in(&tree, 1, &Limits::default(), python(HOLDER));
    until("memory is held", || leaf.usage().memory_bytes.expect("counted") > MEMORY_BYTES);
    let result = leaf.limit(&Limits { memory_bytes_max: Some(MEMORY_BYTES / 4), ..Limits::default() });
    match tree.tree.enforcement()[0].tier {
        Tier::KernelV1 => {
            let error = result.expect_err("EBUSY").to_string();
            assert!(error.contains("memory_bytes_max: Some(8388608)"), "{error}");
        }
        Tier::KernelV2 => {
            result.expect("v2 takes any limit");
            assert_eq!(Exit::new(end_of(pid), &leaf.usage()).to_string()[..17], *"killed by SIGKILL");
        }
        Tier::None => panic!("nothing holds memory"),
    }
}

#[test]
fn an_oom_kill_is_told_within_50_ms_and_nothing_else_is() {
    let tree = trees::best();
    let limits = Limits { memory_bytes_max: Some(MEMORY_BYTES), ..Limits::default() };
    let leaf = tree.leaf(1, &limits);
    let mut events = leaf.oom_events().expect("watched").expect("memory is held here");
    let start_hog = |script| start(&Spec::new(python(script)).expect("a good spec").in_leaf(&leaf));
    for _ in 0..2 {
        let pid = start_hog(HOG);
        assert_eq!(end_of(pid), End::Signal(9));
        let died = Instant::now();
        assert!(is_readable(&events, 1_000), "no word");
        assert!(events.take(), "a word without a kill");
        assert!(died.elapsed() < Duration::from_millis(50), "{:?}", died.elapsed());
    }
    assert_eq!(end_of(start_hog("pass")), End::Code(0));
    // v2 tells of other changes too; none of them is a kill.
    assert!(!is_readable(&events, 50) || !events.take());
}

fn is_readable(events: &OomEvents, wait_ms: u16) -> bool {
    let mut fds = [nix::poll::PollFd::new(events.as_fd(), nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, wait_ms).expect("poll") > 0
}

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
