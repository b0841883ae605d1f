//! The end of the supervisor, as those see it who follow something.

use std::time::Duration;

use pexvisor_integration::{Supervisor, pexes::with_env, request};
use pexvisor_proto::v1::{DeployEvent, DeployRequest, deploy_event::Event};
use tonic::{Code, Status, Streaming};

/// How soon a stream must end: far sooner than the drain below.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Reads steps until a code server is being started.
async fn until_starting(stream: &mut Streaming<DeployEvent>) {
    while let Some(event) = stream.message().await.expect("the stream goes on") {
        if matches!(event.event, Some(Event::Starting(_))) {
            return;
        }
    }
    panic!("the stream ended before the start");
}

async fn end_of(mut stream: Streaming<DeployEvent>) -> Result<(), Status> {
    while stream.message().await?.is_some() {}
    Ok(())
}

#[tokio::test]
async fn a_deploy_on_its_way_is_told_at_once_that_the_supervisor_stops() {
    let mut supervisor = Supervisor::start().await;
    let control = supervisor.control();
    // A call that drains for 30 s keeps the supervisor from ending soon.
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let endless = supervisor.endless_call("etl").await;
    let mut stream = control.deploy_stream(request("etl", supervisor.store.fixture("never_ready"))).await.unwrap();
    until_starting(&mut stream).await;
    supervisor.signal(nix::sys::signal::Signal::SIGTERM);
    let ended = tokio::time::timeout(AT_ONCE, end_of(stream)).await.expect("not only after the drain");
    let status = ended.expect_err("it did not reach its end");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains("shutting down"), "{status:?}");
    assert_eq!(supervisor.sigterm(), Some(0));
    assert!(endless.await.unwrap().is_err());
}

#[tokio::test]
async fn a_deploy_that_a_kill_cut_off_can_be_followed_to_its_end_by_its_request_id() {
    let mut supervisor = Supervisor::start().await;
    let gate = supervisor.home().join("gate");
    let spec = with_env("START_WHEN_EXISTS", gate.to_string_lossy(), supervisor.store.fixture("slow_start"));
    let deploy = DeployRequest { request_id: "deploy-1".to_owned(), ..request("etl", spec) };
    let mut stream = supervisor.control().deploy_stream(deploy.clone()).await.unwrap();
    until_starting(&mut stream).await;
    supervisor.sigkill();
    assert!(end_of(stream).await.is_err(), "the kill cut it off");
    supervisor.start_again().await;
    let mut stream = supervisor.control().deploy_stream(deploy.clone()).await.unwrap();
    until_starting(&mut stream).await;
    std::fs::write(&gate, "").unwrap();
    assert_eq!(end_of(stream).await.map_err(|status| status.code()), Ok(()));
    assert_eq!(supervisor.control().deploy(deploy).await.unwrap().ready(), 1);
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "slow_start:");
}
