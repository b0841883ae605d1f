//! A code server that dies is noticed, said of, and started again, after longer and longer pauses.

use nix::{sys::signal::Signal, unistd::Pid};
use pexvisor_integration::{Store, Supervisor, eventually, observe};
use pexvisor_proto::v1::{
    Environment, FailureReason, GenerationPhase, Limits, Phase, RevisionSpec, WatchRequest, command::Kind, exit::How,
    watch_event::Event,
};

/// Leaves so many files behind that removing them takes several times as long as telling of the end may take.
const LITTERS: &str = "
import os, tiny_server
for number in range(60_000): open(os.path.join(os.environ['TMPDIR'], str(number)), 'x').close()
tiny_server.serve()
";

/// The echo server as a program of these lines.
fn running(store: &Store, lines: &str) -> RevisionSpec {
    let mut spec = store.echo("v1");
    let command = spec.command.as_mut().expect("a command");
    command.kind = Some(Kind::Module("timeit".to_owned()));
    command.args = vec!["-n1".to_owned(), "-r1".to_owned(), lines.to_owned()];
    spec
}

/// Kills the serving code server with exit code 7 and waits until its end has been noticed.
async fn die(supervisor: &Supervisor, restarts: u32) -> Environment {
    // The call that kills cannot be answered.
    let _ = supervisor.echo("etl").call("Die", "7").await;
    eventually("the death is noticed", async || {
        let state = supervisor.control().get("etl").await.ok()?;
        (state.restarts >= restarts && state.last_failure.is_some() || state.phase() != Phase::Serving).then_some(state)
    })
    .await
}

#[tokio::test]
async fn a_code_server_that_dies_is_started_again_and_its_end_is_told() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    die(&supervisor, 1).await;
    eventually("it serves again", async || supervisor.echo("etl").marker().await.ok()).await;
    let state = eventually("the state says so", async || {
        control.get("etl").await.ok().filter(|state| state.phase() == Phase::Serving)
    })
    .await;
    assert_eq!((state.restarts, state.serving_revision), (1, 1), "{state:#?}");
    let failure = state.last_failure.as_ref().expect("the failure is kept until a deploy succeeds");
    assert_eq!(failure.reason(), FailureReason::Crashed, "{failure:#?}");
    assert_eq!(failure.exit.and_then(|exit| exit.how), Some(How::Code(7)));
    let dead = state.generations.iter().find(|generation| generation.number == 1).expect("the dead one is told of");
    assert_eq!(dead.exit.and_then(|exit| exit.how), Some(How::Code(7)));
    assert!(state.generations.iter().any(|generation| generation.number == 2));
}

#[tokio::test]
async fn an_end_is_told_before_what_was_left_is_cleared_away_and_a_stop_after_it() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", running(&supervisor.store, LITTERS)).await;
    let mut events = control.client().watch(WatchRequest::default()).await.unwrap().into_inner();
    // The call that kills cannot be answered.
    let _ = supervisor.echo("etl").call("Die", "7").await;
    let state = loop {
        let event = events.message().await.unwrap().and_then(|event| event.event);
        let Some(Event::Changed(state)) = event else { panic!("nothing was removed") };
        if state.last_failure.is_some() {
            break state;
        }
    };
    let scratch = supervisor.state_dir().join("scratch");
    assert!(!observe::files_under(&scratch).is_empty(), "the end is told first");
    assert_eq!((state.phase(), state.restarts), (Phase::Restarting, 1), "{state:#?}");
    assert_eq!(state.generations[0].phase(), GenerationPhase::Ended, "{state:#?}");
    assert_eq!(state.generations[0].exit.and_then(|exit| exit.how), Some(How::Code(7)));
    control.stop("etl").await.unwrap();
    assert_eq!(observe::files_under(&scratch), [] as [std::path::PathBuf; 0], "Stop returns when nothing is left");
}

#[tokio::test]
async fn a_code_server_killed_from_outside_is_told_by_its_signal() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let pid = control.serving_pid("etl").await.unwrap();
    nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let failure = eventually("the kill is told", async || control.get("etl").await.ok()?.last_failure).await;
    assert_eq!(failure.exit.and_then(|exit| exit.how), Some(How::Signal(9)));
}

#[tokio::test]
async fn a_code_server_that_dies_again_and_again_is_a_crash_loop_and_a_deploy_ends_it() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let state = eventually("the crash loop is visible", async || {
        let _ = supervisor.echo("etl").call("Die", "7").await;
        control.get("etl").await.ok().filter(|state| state.phase() == Phase::CrashLoop)
    })
    .await;
    assert!(state.next_restart.is_some(), "{state:#?}");
    let refusal = supervisor.echo("etl").marker().await.expect_err("nothing serves now");
    assert_eq!(refusal.code(), tonic::Code::Unavailable, "{refusal:?}");
    control.deploy_ready("etl", supervisor.store.echo("v2")).await;
    let state = control.get("etl").await.unwrap();
    assert_eq!((state.phase(), state.restarts, state.last_failure), (Phase::Serving, 0, None));
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v2:");
}

#[tokio::test]
async fn a_neighbour_serves_on_while_one_dies() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    control.deploy_ready("web", supervisor.store.echo("v2")).await;
    let load = pexvisor_integration::Load::start([supervisor.echo("web")]);
    die(&supervisor, 1).await;
    eventually("it serves again", async || supervisor.echo("etl").marker().await.ok()).await;
    load.further(20).await;
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
}

#[tokio::test]
async fn a_code_server_over_its_memory_limit_is_killed_and_told_as_out_of_memory() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let mut spec = supervisor.store.fixture("eats_memory");
    let memory_bytes_max = 300 << 20;
    spec.limits = Some(Limits { memory_bytes_max, ..Limits::default() });
    control.deploy_ready("etl", spec).await;
    control.deploy_ready("web", supervisor.store.echo("v1")).await;
    let eaten = supervisor.echo("etl").call("Eat", "600").await;
    assert!(eaten.is_err(), "it cannot have survived that");
    let failure = eventually("the kill is told", async || control.get("etl").await.ok()?.last_failure).await;
    let exit = failure.exit.expect("it says how it ended");
    assert!(exit.out_of_memory, "{failure:#?}");
    assert!(failure.message.contains("memory"), "{}", failure.message);
    assert!(exit.memory_bytes_peak > memory_bytes_max / 2, "{exit:?}");
    assert_eq!(supervisor.echo("web").marker().await.unwrap(), "v1:", "its neighbour serves on");
}

#[tokio::test]
async fn a_code_server_that_hangs_is_killed_and_started_again() {
    let supervisor = Supervisor::start_with(&["--health-lost-seconds=3"]).await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    control.deploy_ready("web", supervisor.store.echo("v2")).await;
    let pid = Pid::from_raw(control.serving_pid("etl").await.unwrap());
    // It still accepts connections: the kernel does that for it.
    nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
    let state = eventually("the hang is noticed", async || {
        control.get("etl").await.ok().filter(|state| state.last_failure.is_some())
    })
    .await;
    let failure = state.last_failure.as_ref().expect("just seen");
    assert_eq!(failure.reason(), FailureReason::LostHealth, "{failure:#?}");
    assert_eq!(failure.exit.and_then(|exit| exit.how), Some(How::Signal(9)));
    assert_eq!(state.restarts, 1, "{state:#?}");
    eventually("it serves again", async || supervisor.echo("etl").marker().await.ok()).await;
    assert_eq!(control.get("web").await.unwrap().restarts, 0, "who answers is left alone");
}

#[tokio::test]
async fn a_code_server_that_says_it_is_not_serving_is_left_alone() {
    const TURNS_UNHEALTHY: &str = "
import os, signal, tiny_server
from grpc_health.v1 import health_pb2
server, servicer = tiny_server.make_server()
server.add_insecure_port('unix:' + os.environ['PEXVISOR_SOCKET'])
signal.signal(signal.SIGUSR1, lambda *_: servicer.set('', health_pb2.HealthCheckResponse.NOT_SERVING))
server.start()
while True: signal.pause()
";
    let supervisor = Supervisor::start_with(&["--health-lost-seconds=1"]).await;
    let control = supervisor.control();
    control.deploy_ready("etl", running(&supervisor.store, TURNS_UNHEALTHY)).await;
    let pid = control.serving_pid("etl").await.unwrap();
    nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGUSR1).unwrap();
    // Three times as long as it would take to be killed.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(control.serving_pid("etl").await, Some(pid), "{:#?}", control.get("etl").await);
}
