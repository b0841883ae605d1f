//! Claims about the reaper, with real children. The test binary is its own stage program.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    time::{Duration, Instant},
};

use pexvisor_sandbox::{
    End, Exit, LaunchError, Program, Spec, StageProgram,
    cgroup::{GroupName, LeafName, Limits, Mounts, Tree},
    signal,
    stray::Marker,
};
use tokio::task::JoinSet;

use super::Reaper;
use crate::init::{OomGuard, Process};

/// How long an event that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Not a claim: the stage program of the claims below. Without its argument it does nothing.
#[test]
fn acts_as_the_stage_program() {
    if std::env::args().any(|arg| arg == "--nocapture") && nix::sys::stat::fstat(std::io::stdin()).is_ok_and(is_socket)
    {
        pexvisor_sandbox::stage_main();
        std::process::exit(126);
    }
}

fn is_socket(stat: nix::sys::stat::FileStat) -> bool {
    stat.st_mode & nix::libc::S_IFMT == nix::libc::S_IFSOCK
}

fn reaper() -> Reaper {
    let args = ["init::reaper::tests::acts_as_the_stage_program", "--exact", "--nocapture"];
    let stage = StageProgram::other("/proc/self/exe", args.map(Into::into));
    Reaper::start_with(stage).expect("a runtime with signals")
}

fn shell(script: &str) -> Spec {
    let args = vec!["-c".to_owned(), script.to_owned()];
    let program = Program { path: "/bin/sh".into(), args, env: BTreeMap::new(), cwd: "/".into() };
    Spec::new(program).expect("a good spec")
}

async fn spawn(reaper: &Reaper, script: String) -> Process {
    let reaper = reaper.clone();
    let spawned = tokio::task::spawn_blocking(move || reaper.spawn(&shell(&script))).await;
    spawned.expect("no panic").expect("a running shell")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_exit_codes_are_delivered_right_while_orphans_are_swept() {
    let reaper = reaper();
    let mut children = JoinSet::new();
    for index in 0..500 {
        let reaper = reaper.clone();
        children.spawn(async move {
            let code = index % 251;
            // The inner shell is nobody's child but ours once the outer one is gone.
            let mut process = spawn(&reaper, format!("(sleep 0.1; exit 99) & exit {code}")).await;
            assert_eq!(process.wait().await, End::Code(code));
        });
    }
    while let Some(checked) = children.join_next().await {
        checked.expect("the right exit code");
    }
    until("500 orphans", || reaper.orphans() >= 500).await;
    until("no child is left", || children_of_this_process().is_empty()).await;
}

#[tokio::test]
async fn all_who_wait_hear_of_the_end_and_so_does_who_comes_late() {
    let reaper = reaper();
    let mut process = spawn(&reaper, "exec sleep 60".to_owned()).await;
    let mut other = process.clone();
    let waiting = tokio::spawn(async move { other.wait().await });
    assert!(!waiting.is_finished());
    process.signal(signal::Signal::TERM).expect("our child");
    assert_eq!(waiting.await.expect("no panic"), End::Signal(15));
    assert_eq!(process.wait().await, End::Signal(15));
    assert_eq!(process.clone().wait().await, End::Signal(15));
    process.signal(signal::Signal::TERM).expect("a signal to the dead is no error");
}

#[tokio::test]
async fn a_failed_start_names_its_step_and_leaves_no_zombie() {
    let reaper = reaper();
    let program = Program { path: "/nowhere".into(), args: Vec::new(), env: BTreeMap::new(), cwd: "/".into() };
    let spec = Spec::new(program).expect("a good spec");
    let error = reaper.spawn(&spec).expect_err("no such program");
    assert!(matches!(&error, LaunchError::Step(step) if step.errno == nix::libc::ENOENT), "{error:?}");
    until("no child is left", || children_of_this_process().is_empty()).await;
}

#[tokio::test]
async fn a_piped_child_reads_what_is_written_and_is_read() {
    let reaper = reaper();
    let mut piped = reaper.spawn_piped(shell("tr a-z A-Z; echo oops >&2; exit 4")).expect("a running shell");
    piped.stdin.write_all(b"hello").expect("an open pipe");
    drop(piped.stdin);
    let (mut out, mut err) = (String::new(), String::new());
    piped.stdout.read_to_string(&mut out).expect("text");
    piped.stderr.read_to_string(&mut err).expect("text");
    // The test harness says a word of its own when it acts as the stage program.
    assert!(out.ends_with("HELLO"), "{out}");
    assert_eq!(err, "oops\n");
    assert_eq!(piped.process.wait().await, End::Code(4));
}

#[tokio::test]
async fn a_first_process_ends_out_of_memory_with_the_worker_that_the_kernel_killed() {
    let subdirectory: GroupName = format!("pexvisor-oom-{}", std::process::id()).parse().expect("a good name");
    let mounts = Mounts::discover().expect("procfs");
    let tree = Tree::open(&mounts, &subdirectory, Marker::prefix("PEXVISOR_SOCKET", "/nowhere/"));
    let limits = Limits { memory_bytes_max: Some(32 << 20), ..Limits::default() };
    let leaf = tree.create_leaf(&LeafName::Install("hog".parse().expect("a good name")), &limits).expect("a leaf");
    let _guard = OomGuard::watch(&leaf).expect("watched").expect("this test needs writable control groups");
    let hog = "b=bytearray(1<<20)\nwhile True: b+=bytes(len(b))";
    let spec = shell(&format!("/usr/bin/python3 -c '{hog}' & exec sleep 60")).in_leaf(&leaf);
    let mut process = reaper().spawn(&spec).expect("a running shell");
    let end = tokio::time::timeout(PATIENCE, process.wait()).await.expect("ended long before its sleep");
    let exit = Exit::new(end, &leaf.usage());
    assert_eq!((exit.end, exit.out_of_memory), (End::Signal(9), true));
    tree.close().expect("nothing survives");
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn children_of_this_process() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs").flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}
