//! `docker stop`: calls in flight end, code servers are asked before they are killed, the exit code says it went well.

use std::{
    fs,
    time::{Duration, Instant},
};

use bytes::Bytes;
use pexvisor_integration::{eventually, observe};
use pexvisor_proto::v1::LogsRequest;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::docker::{Cgroups, Container};

/// Far below the 25 s that a shutdown may take by default: what ends before this was not waited for.
const AT_ONCE: Duration = Duration::from_secs(12);

#[tokio::test]
async fn docker_stop_lets_a_call_in_flight_end_and_exits_0() {
    let container = Container::start(Cgroups::ReadOnly).await;
    container.control().deploy_ready("etl", container.store.echo("v1")).await;
    let waiting = call_in_flight(&container).await;
    let (stopped, answer) = tokio::join!(container.docker(&["stop", "--time=60"]), async {
        shutdown_has_begun(&container).await;
        open_the_gate(&container);
        waiting.await.expect("the caller does not panic")
    });
    stopped.ok();
    answer.expect("the call in flight is answered");
    assert_eq!(container.exit_code().await, Some(0));
}

#[tokio::test]
async fn docker_stop_asks_a_code_server_before_it_is_killed() {
    let container = Container::start(Cgroups::ReadOnly).await;
    let mut spec = container.store.fixture("ignores_sigterm");
    spec.terminate_timeout = Some(prost_types::Duration { seconds: 2, nanos: 0 });
    container.control().deploy_ready("etl", spec).await;
    let request = LogsRequest { environment: "etl".to_owned(), follow: true, ..LogsRequest::default() };
    let mut lines = container.control().client().logs(request).await.expect("follow its output").into_inner();
    let (stopped, said) = tokio::join!(container.docker(&["stop", "--time=60"]), async {
        let mut said = String::new();
        while let Ok(Some(line)) = lines.message().await {
            said += &String::from_utf8_lossy(&line.line);
        }
        said
    });
    stopped.ok();
    assert!(said.contains("ignores_sigterm: no"), "SIGTERM came first: {said}");
    assert_eq!(container.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_second_sigterm_does_not_wait_for_the_drain() {
    let container = Container::start(Cgroups::ReadOnly).await;
    container.control().deploy_ready("etl", container.store.echo("v1")).await;
    let waiting = call_in_flight(&container).await;
    let pid_1 = container.pid_1().await;
    container.docker(&["kill", "--signal=TERM"]).await.ok();
    shutdown_has_begun(&container).await;
    assert!(observe::is_alive(pid_1), "the call in flight holds the first SIGTERM up");
    let second = Instant::now();
    container.docker(&["kill", "--signal=TERM"]).await.ok();
    eventually("the container has ended", async || container.exit_code().await).await;
    assert!(second.elapsed() < AT_ONCE, "it took {:?}", second.elapsed());
    waiting.await.expect("the caller does not panic").expect_err("the call was cut off");
}

/// A call that lasts until the gate is open, once it is counted as in flight.
async fn call_in_flight(container: &Container) -> JoinHandle<Result<Bytes, Status>> {
    let echo = container.echo("etl");
    let waiting = tokio::spawn(async move { echo.call("Wait", "/store/gate").await });
    eventually("the call is in flight", async || {
        let state = container.control().get("etl").await.ok()?;
        state.generations.iter().any(|generation| generation.calls_in_flight > 0).then_some(())
    })
    .await;
    waiting
}

/// The code server sees this file as /store/gate.
fn open_the_gate(container: &Container) {
    fs::write(container.store.dir().join("gate"), "").expect("open the gate");
}

/// Told by the log: connections say nothing here, since Docker's own proxy takes them before pexvisor does.
async fn shutdown_has_begun(container: &Container) {
    eventually("the shutdown has begun", async || container.log().await.contains("shutting down").then_some(())).await;
}
