//! The vocabulary of the tests: launch through the crate's own stage program, wait, read what came out.

use std::{collections::BTreeMap, fs::File, io::Read};

use pexvisor_sandbox::{End, LaunchError, Launched, Program, Spec, StageProgram, StepFailure, wait};

/// A program that has ended.
pub struct Done {
    pub end: End,
    pub stdout: String,
}

pub fn stage_program() -> StageProgram {
    StageProgram::other(env!("CARGO_BIN_EXE_sandbox-stage"), [])
}

/// `/bin/sh -c script` with an empty environment.
pub fn shell(script: &str) -> Program {
    let args = vec!["-c".to_owned(), script.to_owned()];
    Program { path: "/bin/sh".into(), args, env: BTreeMap::new(), cwd: "/".into() }
}

pub fn launch(spec: &Spec) -> Result<Launched, LaunchError> {
    stage_program().start(spec)?.hand_over(spec)
}

/// Starts the spec and is sure that the program runs.
pub fn start(spec: &Spec) -> i32 {
    launch(spec).and_then(Launched::confirm).expect("the program runs")
}

pub fn end_of(pid: i32) -> End {
    wait::reap(pid).expect("waitid").expect("a child of ours").1
}

/// Runs the program to its end and keeps its standard output.
pub fn run(program: Program) -> Done {
    run_spec(Spec::new(program).expect("a good spec"))
}

pub fn run_spec(spec: Spec) -> Done {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let stderr = File::options().write(true).open("/dev/null").expect("/dev/null");
    let spec = spec.with_output(writer.into(), stderr.into());
    let pid = start(&spec);
    drop(spec);
    let mut stdout = String::new();
    { reader }.read_to_string(&mut stdout).expect("text");
    Done { end: end_of(pid), stdout }
}

/// The step that failed; the stage program is gone afterwards.
pub fn launch_failure(program: Program) -> StepFailure {
    let spec = Spec::new(program).expect("a good spec");
    let launched = launch(&spec).expect("the stage program takes its orders");
    let pid = launched.pid;
    let error = launched.confirm().expect_err("a step fails");
    assert_eq!(end_of(pid), End::Code(126));
    match error {
        LaunchError::Step(failure) => failure,
        other => panic!("no step failed: {other}"),
    }
}
