//! Promises of a start: the program gets exactly what its spec says, and a failure names its step.

use pexvisor_sandbox::{End, Program, Spec};
use std::{collections::BTreeMap, fs::File};

use crate::support::{end_of, launch_failure, run, run_spec, shell, start};

#[test]
fn the_exit_code_is_the_programs() {
    assert_eq!(run(shell("exit 7")).end, End::Code(7));
    assert_eq!(run(shell("kill -TERM $$")).end, End::Signal(15));
}

#[test]
fn a_program_that_is_not_there_is_named_with_its_step_and_errno() {
    let failure = launch_failure(Program { path: "/nowhere/python3".into(), ..shell("") });
    assert_eq!((failure.step.as_str(), failure.errno), ("execute", nix::libc::ENOENT));
    assert!(failure.to_string().contains("/nowhere/python3"), "{failure}");
}

#[test]
fn a_file_that_is_no_program_is_eacces() {
    let failure = launch_failure(Program { path: "/etc/passwd".into(), ..shell("") });
    assert_eq!((failure.step.as_str(), failure.errno), ("execute", nix::libc::EACCES));
}

#[test]
fn a_missing_working_directory_is_named() {
    let failure = launch_failure(Program { cwd: "/nowhere".into(), ..shell("") });
    assert_eq!((failure.step.as_str(), failure.errno), ("change directory", nix::libc::ENOENT));
    assert_eq!(failure.object, "/nowhere");
}

#[test]
fn the_environment_is_exactly_the_specs() {
    let env = BTreeMap::from([("A".to_owned(), "1 2".to_owned()), ("Ü".to_owned(), "=".to_owned())]);
    let done = run(Program { path: "/usr/bin/env".into(), args: Vec::new(), env, cwd: "/".into() });
    assert_eq!(done.stdout, "A=1 2\nÜ==\n");
}

#[test]
fn only_descriptors_0_1_and_2_reach_the_program() {
    // Opened as inheritable on purpose, in the process that launches.
    let leak = File::open("/dev/null").expect("/dev/null");
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).expect("a descriptor");
    let done = run(Program { path: "/bin/ls".into(), args: vec!["/proc/self/fd".into()], ..shell("") });
    // 3 is the directory that ls reads.
    assert_eq!(done.stdout, "0\n1\n2\n3\n");
}

#[test]
fn standard_input_is_empty_or_the_specs() {
    assert_eq!(run(shell("cat; readlink /proc/self/fd/0")).stdout, "/dev/null\n");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    std::io::Write::write_all(&mut { writer }, b"hello").expect("room in the pipe");
    let spec = Spec::new(shell("cat")).expect("a good spec").with_stdin(reader.into());
    assert_eq!(run_spec(spec).stdout, "hello");
}

#[test]
fn signals_are_at_their_defaults_and_unblocked() {
    // This process ignores and blocks some; Rust has ignored SIGPIPE already.
    let blocked = nix::sys::signal::SigSet::from_iter([nix::sys::signal::Signal::SIGUSR1]);
    blocked.thread_block().expect("a good set");
    let status = run(shell("cat /proc/self/status")).stdout;
    for set in ["SigBlk", "SigIgn"] {
        let line = status.lines().find(|line| line.starts_with(set)).expect("proc_pid_status(5)");
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
}

#[test]
fn the_program_leads_a_session_of_its_own_with_the_usual_umask_and_directory() {
    let done = run(Program { cwd: "/usr".into(), ..shell("umask; pwd; cut -d' ' -f1,5,6 /proc/$$/stat") });
    let mut lines = done.stdout.lines();
    assert_eq!((lines.next(), lines.next()), (Some("0022"), Some("/usr")));
    let numbers: Vec<&str> = lines.next().expect("three numbers").split(' ').collect();
    assert!(numbers.iter().all(|number| *number == numbers[0]), "pid, group, session {numbers:?}");
}

#[test]
fn user_group_priority_and_open_files_are_the_specs() {
    let ids = pexvisor_sandbox::Ids { uid: 12_345, gid: 23_456 };
    let script = "id -u; id -g; id -G; ulimit -Sn; ulimit -Hn; nice";
    let spec = Spec::new(shell(script)).expect("a good spec").with_ids(ids).with_open_files_max(77).with_nice(5);
    // Lower than our own priority by as much as there is left.
    let nice = (rustix::process::getpriority_process(None).expect("our own") + 5).min(19);
    assert_eq!(run_spec(spec).stdout, format!("12345\n23456\n23456\n77\n77\n{nice}\n"));
}

#[test]
fn the_kernel_takes_the_program_before_the_supervisor() {
    assert_eq!(run(shell("cat /proc/self/oom_score_adj")).stdout, "500\n");
}

#[test]
fn a_large_spec_arrives_whole() {
    let value = "x".repeat(100_000);
    let env = (0..10).map(|index| (format!("V{index}"), value.clone())).collect();
    let script = "echo ${#V0} ${#V9}";
    assert_eq!(run(Program { env, ..shell(script) }).stdout, "100000 100000\n");
}

#[test]
fn a_program_that_replaces_itself_keeps_its_pid() {
    let spec = Spec::new(shell("exec sleep 60")).expect("a good spec");
    let pid = start(&spec);
    pexvisor_sandbox::signal::send_to_pid(pid, pexvisor_sandbox::signal::Signal::KILL).expect("our child");
    assert_eq!(end_of(pid), End::Signal(9));
}
