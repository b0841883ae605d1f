//! Promises of limits: what goes beyond one is held or killed, and the exit says why.

use std::{
    io::Write,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use pexvisor_sandbox::{
    End, Exit, Program, Spec,
    cgroup::{Limits, OomEvents, Tier},
};

use crate::{
    support::{end_of, shell, start},
    trees::{self, start_in, until},
};

/// Bytes of a limit that a shell keeps and a hog exceeds at once.
const MEMORY_BYTES: u64 = 32 << 20;

/// Looks at a list of processes that must agree.
const LOOKS: u32 = 50;

/// A Python that doubles what it holds until it dies.
const HOG: &str = "b = bytearray(1 << 20)\nwhile True: b += bytes(len(b))";

/// A Python that holds 64 MB and waits.
const HOLDER: &str = "import time\nb = bytearray(b'x' * (64 << 20))\ntime.sleep(60)";

/// A Python that forks as fast as it can, and so do its children.
const BOMB: &str = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass";

fn python(script: &str) -> Program {
    let args = vec!["-c".to_owned(), script.to_owned()];
    Program { path: "/usr/bin/python3".into(), args, ..shell("") }
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
fn a_limit_on_all_environments_holds_a_leaf_that_has_none() {
    let tree = trees::best();
    assert!(tree.tree.memory_bytes_around().is_none_or(|bytes| bytes > MEMORY_BYTES), "the machine runs this test");
    tree.tree
        .limit_environments(&Limits { memory_bytes_max: Some(MEMORY_BYTES), ..Limits::default() })
        .expect("it is set");
    let (leaf, pid) = start_in(&tree, 1, &Limits::default(), python(HOG));
    let exit = Exit::new(end_of(pid), &leaf.usage());
    assert_eq!((exit.end, exit.out_of_memory), (End::Signal(9), true));
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
    let (leaf, pid) = start_in(&tree, 1, &limits, python(BOMB));
    until("50 processes", || leaf.usage().pids == Some(50));
    leaf.kill().expect("a killed leaf");
    assert_eq!(end_of(pid), End::Signal(9));
    assert_eq!(leaf.pids().expect("a list"), Vec::<i32>::new());
}

#[test]
fn a_bomb_is_killed_without_cgroups_too() {
    kill_without_cgroups(BOMB, |pids| pids == 50);
}

#[test]
fn a_runner_is_killed_without_cgroups_too() {
    // It is another process every time that somebody looks.
    kill_without_cgroups("import os\nwhile True:\n  if os.fork(): os._exit(0)", |_| true);
}

fn kill_without_cgroups(script: &str, is_ready: fn(u64) -> bool) {
    // The limit stands for the one that every container has; only the other leaf is asked to kill.
    let (limiting, tree) = (trees::best(), trees::none());
    let limit = limiting.leaf(1, &Limits { pids_max: Some(50), ..Limits::default() });
    let leaf = tree.leaf(1, &Limits::default());
    let (stdin, go) = std::io::pipe().expect("a pipe");
    let program = Program { env: [tree.mark(1)].into(), ..python(&format!("input()\n{script}")) };
    let pid = start(&Spec::new(program).expect("a good spec").in_leaf(&leaf).with_stdin(stdin.into()));
    limit.add(pid).expect("it waits");
    { go }.write_all(b"\n").expect("an open pipe");
    until("it is under way", || limit.usage().pids.is_some_and(is_ready) && leaf.pids().expect("a list") != [pid]);
    leaf.kill().expect("a killed leaf");
    end_of(pid);
    // One look can miss a runner, so many have to agree.
    let is_empty = |_| limit.pids().expect("a list").is_empty();
    until("no process is left", || (0..LOOKS).all(is_empty));
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
