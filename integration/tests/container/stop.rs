//! `docker stop`: calls in flight end, code servers are asked before they are killed, the exit code says it went well.

use std::time::{Duration, Instant};

use pexvisor_integration::{Echo, eventually, observe};

use crate::docker::{Cgroups, Container};

/// Far below the 25 s that a drain may take by default: what ends before this was not waited for.
const AT_ONCE: Duration = Duration::from_secs(12);

#[tokio::test]
async fn docker_stop_lets_a_call_in_flight_end_and_exits_0() {
    let container = Container::start(Cgroups::ReadOnly).await;
    container.control().deploy_ready("etl", container.store.echo("v1")).await;
    let waiting = call_in_flight(&container).await;
    let (stopped, answer) = tokio::join!(container.docker(&["stop", "--time=60"]), async {
        eventually("the shutdown has begun", async || {
            // On a new connection: the old one still carries the call in flight.
            container.echo("etl").marker().await.err()
        })
        .await;
        code_servers_own_socket(&container).call("Release", "").await.expect("the code server still serves");
        waiting.await.expect("the caller does not panic")
    });
    stopped.ok();
    assert_eq!(answer.expect("the call in flight is answered"), "held");
    assert_eq!(container.exit_code().await, Some(0));
}

#[tokio::test]
async fn docker_stop_asks_a_code_server_before_it_is_killed() {
    let container = Container::start(Cgroups::ReadOnly).await;
    let mut spec = container.store.fixture("ignores_sigterm");
    spec.terminate_timeout = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    container.control().deploy_ready("etl", spec).await;
    container.docker(&["stop", "--time=60"]).await.ok();
    assert_eq!(container.exit_code().await, Some(0));
    assert!(container.log().await.contains("ignores_sigterm: no"), "SIGTERM came first");
}

#[tokio::test]
async fn a_second_sigterm_does_not_wait_for_the_drain() {
    let container = Container::start(Cgroups::ReadOnly).await;
    container.control().deploy_ready("etl", container.store.echo("v1")).await;
    let waiting = call_in_flight(&container).await;
    let pid_1 = container.pid_1().await;
    container.docker(&["kill", "--signal=TERM"]).await.ok();
    eventually("the shutdown has begun", async || container.echo("etl").marker().await.err()).await;
    assert!(observe::is_alive(pid_1), "the call in flight holds the first SIGTERM up");
    let second = Instant::now();
    container.docker(&["kill", "--signal=TERM"]).await.ok();
    eventually("the container has ended", async || container.exit_code().await).await;
    assert!(second.elapsed() < AT_ONCE, "it took {:?}", second.elapsed());
    waiting.await.expect("the caller does not panic").expect_err("the call was cut off");
}

/// A call that ends when `Release` is called, once it has reached the code server.
async fn call_in_flight(container: &Container) -> tokio::task::JoinHandle<Result<bytes::Bytes, tonic::Status>> {
    let echo = container.echo("etl");
    let waiting = tokio::spawn(async move { echo.call("Wait", "held").await });
    eventually("the call is in flight", async || {
        let state = container.control().get("etl").await.ok()?;
        state.generations.iter().any(|generation| generation.calls_in_flight > 0).then_some(())
    })
    .await;
    waiting
}

/// Past pexvisor, for what must reach a code server while the proxy takes no more calls.
fn code_servers_own_socket(container: &Container) -> Echo {
    let sockets = observe::files_under(&container.state_dir().join("run"));
    let socket = sockets.iter().find(|file| file.ends_with("s.sock")).expect("a code server has its socket under run/");
    Echo::on(socket)
}
