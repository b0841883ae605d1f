//! A deploy that fails says why, and what served before serves on without a failed call.

use pexvisor_integration::{
    Load, Supervisor, observe,
    pexes::{ready_within, spec, with_env},
    request,
};
use pexvisor_proto::v1::{Failure, FailureReason, Phase, RevisionSpec, command::Kind, exit::How};

/// Enough for Python to start on a busy machine, little enough for a test of a start that never ends.
const START_SECONDS: i64 = 5;

/// Deploys v1, then what `bad` makes, under load: it must fail for `reason`, and v1 must go on serving.
async fn fails(reason: FailureReason, bad: impl FnOnce(&Supervisor) -> RevisionSpec) -> Failure {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let before = control.get("etl").await.expect("the environment");
    let load = Load::start([supervisor.echo("etl"), supervisor.echo("etl")]);
    let outcome = control.deploy(request("etl", bad(&supervisor))).await.expect("the deploy is accepted");
    let (failure, still_serving) = outcome.failed(reason);
    assert_eq!(still_serving, before.generations[0].number);
    load.further(20).await;
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert_eq!(report.answers.keys().collect::<Vec<_>>(), ["v1:"]);
    let after = control.get("etl").await.expect("the environment");
    assert_eq!((after.phase(), after.serving_revision), (Phase::Serving, 1));
    assert_eq!(after.last_failure.as_ref().map(Failure::reason), Some(reason), "the state tells of it too");
    let alive = observe::processes_naming(&supervisor.state_dir().join("run"));
    let pids: Vec<i32> = alive.iter().map(|process| process.pid).collect();
    assert_eq!(pids, [before.generations[0].pid], "nothing of the failed generation runs: {alive:#?}");
    failure
}

#[tokio::test]
async fn a_code_server_that_never_opens_its_socket() {
    let failure =
        fails(FailureReason::StartTimeout, |s| ready_within(START_SECONDS, s.store.fixture("never_ready"))).await;
    assert!(failure.message.contains("socket"), "{}", failure.message);
    assert!(failure.output_tail.contains("sleeping without a socket"), "{failure:#?}");
}

#[tokio::test]
async fn a_code_server_that_never_gets_healthy() {
    let failure =
        fails(FailureReason::StartTimeout, |s| ready_within(START_SECONDS, s.store.fixture("never_healthy"))).await;
    assert!(failure.message.contains("health"), "{}", failure.message);
}

#[tokio::test]
async fn a_code_server_that_exits_at_once() {
    let failure = fails(FailureReason::Exited, |s| s.store.fixture("exits_at_once")).await;
    assert_eq!(failure.exit.and_then(|exit| exit.how), Some(How::Code(3)));
    assert!(failure.output_tail.contains("leaving with 3"), "{failure:#?}");
    assert!(failure.message.contains('3'), "{}", failure.message);
}

#[tokio::test]
async fn a_code_server_that_is_killed_at_its_start() {
    let failure = fails(FailureReason::Exited, |s| s.store.fixture("killed_at_start")).await;
    assert_eq!(failure.exit.and_then(|exit| exit.how), Some(How::Signal(9)));
}

#[tokio::test]
async fn a_module_that_raises_at_import_gives_its_traceback() {
    let failure = fails(FailureReason::Exited, |s| s.store.fixture("raises_at_import")).await;
    assert!(failure.traceback.starts_with("Traceback (most recent call last):"), "{failure:#?}");
    assert!(failure.traceback.contains("in read_settings"), "{}", failure.traceback);
    assert!(failure.traceback.trim_end().ends_with("RuntimeError: the settings of raises_at_import are missing"));
}

#[tokio::test]
async fn a_missing_module() {
    let failure = fails(FailureReason::BadCommand, |s| s.store.tiny("tiny-v2", "no_such_module")).await;
    assert!(failure.message.contains("no_such_module"), "{}", failure.message);
}

#[tokio::test]
async fn a_missing_console_script() {
    let bad = |s: &Supervisor| spec(s.store.echo("v2").artifacts, Kind::ConsoleScript("no-such-script".to_owned()));
    let failure = fails(FailureReason::BadCommand, bad).await;
    assert!(failure.message.contains("no-such-script"), "{}", failure.message);
}

#[tokio::test]
async fn a_missing_entry_point() {
    let failure =
        fails(FailureReason::BadCommand, |s| spec(s.store.echo("v2").artifacts, Kind::EntryPoint(true))).await;
    assert!(failure.message.contains("entry point"), "{}", failure.message);
}

#[tokio::test]
async fn a_link_in_place_of_the_socket() {
    let bad = |s: &Supervisor| {
        let target = s.control_socket().to_string_lossy().into_owned();
        let spec = with_env("SWAP_TARGET", target, s.store.fixture("swaps_socket"));
        ready_within(START_SECONDS, with_env("SWAP_AT_START", "yes", spec))
    };
    let failure = fails(FailureReason::ForeignSocket, bad).await;
    assert!(failure.message.contains("link"), "{}", failure.message);
}

#[tokio::test]
async fn an_interpreter_that_is_not_there() {
    let bad = |s: &Supervisor| RevisionSpec { interpreter: "/usr/bin/python9.9".to_owned(), ..s.store.echo("v2") };
    let failure = fails(FailureReason::NoInterpreter, bad).await;
    assert!(failure.message.contains("/usr/bin/python9.9"), "{}", failure.message);
}

#[tokio::test]
async fn a_first_deploy_that_fails_leaves_the_environment_failed_and_the_next_one_serves() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let outcome = control.deploy(request("etl", supervisor.store.fixture("exits_at_once"))).await.unwrap();
    assert_eq!(outcome.failed(FailureReason::Exited).1, 0, "nothing serves");
    assert_eq!(control.get("etl").await.unwrap().phase(), Phase::Failed);
    let refusal = supervisor.echo("etl").marker().await.expect_err("nothing serves");
    assert_eq!(refusal.code(), tonic::Code::Unavailable);
    assert_eq!(control.deploy_ready("etl", supervisor.store.echo("v1")).await, 2);
    let state = control.get("etl").await.unwrap();
    assert_eq!((state.phase(), state.last_failure), (Phase::Serving, None));
}
