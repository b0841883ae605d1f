//! A deploy loses no call: new ones reach the new generation, those in flight end on the old one.

use pexvisor_integration::{Load, Supervisor, eventually, observe, pexes::with_env};
use pexvisor_proto::v1::GenerationPhase;

/// Deploys under load; each is another revision of another source.
const DEPLOYS: usize = 10;
/// Clients that call all the while, each on a connection of its own.
const CLIENTS: usize = 4;

#[tokio::test]
async fn ten_deploys_under_load_fail_no_call() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let load = Load::start((0..CLIENTS).map(|_| supervisor.echo("etl")));
    for number in 0..DEPLOYS {
        let version = ["v2", "v3", "v1"][number % 3];
        let spec = with_env("TINY_SALT", number.to_string(), supervisor.store.echo(version));
        control.deploy_ready("etl", spec).await;
        let now = supervisor.echo("etl").marker().await.unwrap();
        assert_eq!(now, format!("{version}:{number}"), "after READY every new call reaches the new generation");
        load.further(20).await;
    }
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert_eq!(report.answers.len(), DEPLOYS + 1, "each revision has answered: {report:?}");
}

#[tokio::test]
async fn a_call_in_flight_ends_on_the_old_generation_while_the_new_one_serves() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let old = control.serving_pid("etl").await.unwrap();
    let gate = supervisor.home().join("gate").to_string_lossy().into_owned();
    let waiting = tokio::spawn({
        let (echo, gate) = (supervisor.echo("etl"), gate.clone());
        async move { echo.call("Wait", gate).await }
    });
    eventually("the call is in flight", async || {
        (control.get("etl").await.ok()?.generations.iter().any(|g| g.calls_in_flight > 0)).then_some(())
    })
    .await;
    control.deploy_ready("etl", supervisor.store.echo("v2")).await;
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v2:");
    let state = control.get("etl").await.unwrap();
    let draining =
        state.generations.iter().find(|g| g.phase() == GenerationPhase::Draining).expect("the old one drains");
    assert_eq!((draining.pid, draining.calls_in_flight), (old, 1));
    std::fs::write(&gate, "").unwrap();
    waiting.await.unwrap().expect("the call in flight ends well");
    eventually("the old generation ends", async || (!observe::is_alive(old)).then_some(())).await;
}

#[tokio::test]
async fn a_drain_is_bounded() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let mut spec = supervisor.store.echo("v1");
    spec.drain_timeout = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    control.deploy_ready("etl", spec).await;
    let old = control.serving_pid("etl").await.unwrap();
    let endless = supervisor.endless_call("etl").await;
    control.deploy_ready("etl", supervisor.store.echo("v2")).await;
    eventually("the old generation ends all the same", async || (!observe::is_alive(old)).then_some(())).await;
    let status = endless.await.unwrap().expect_err("the call cannot end well");
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
}

#[tokio::test]
async fn a_restart_under_load_fails_no_call() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let old = control.serving_pid("etl").await.unwrap();
    let load = Load::start((0..CLIENTS).map(|_| supervisor.echo("etl")));
    load.further(20).await;
    assert_eq!(control.restart("etl").await.unwrap().ready(), 1, "a restart makes no revision");
    load.further(20).await;
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert_ne!(control.serving_pid("etl").await, Some(old));
}
