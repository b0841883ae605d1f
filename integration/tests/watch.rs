//! Watch tells the state and then every change; the last one is never missed.

use std::time::Duration;

use pexvisor_integration::{Supervisor, request};
use pexvisor_proto::v1::{Environment, Phase, WatchEvent, WatchRequest, watch_event::Event};
use tonic::Streaming;

/// Longest wait for one change.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

async fn watch(supervisor: &Supervisor, environment: &str) -> Streaming<WatchEvent> {
    let request = WatchRequest { environment: environment.to_owned() };
    supervisor.control().client().watch(request).await.expect("the watch begins").into_inner()
}

async fn next(events: &mut Streaming<WatchEvent>) -> Event {
    let next = tokio::time::timeout(CHANGE_TIMEOUT, events.message()).await.expect("a change in time");
    next.expect("the stream goes on").expect("the stream does not end").event.expect("an event has contents")
}

/// Reads changes until one is in this phase, and checks that versions only grow.
async fn until(phase: Phase, events: &mut Streaming<WatchEvent>) -> Environment {
    let mut version = 0;
    loop {
        let Event::Changed(state) = next(events).await else { panic!("nothing was removed") };
        assert!(state.version > version, "{version} was followed by {}", state.version);
        version = state.version;
        if state.phase() == phase {
            return state;
        }
    }
}

#[tokio::test]
async fn a_watch_sees_an_environment_come_serve_stop_and_go() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let mut events = watch(&supervisor, "").await;
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let state = until(Phase::Serving, &mut events).await;
    assert_eq!((state.name.as_str(), state.serving_revision), ("etl", 1));
    control.stop("etl").await.unwrap();
    until(Phase::Stopped, &mut events).await;
    control.remove("etl").await.unwrap();
    loop {
        match next(&mut events).await {
            Event::Removed(name) => return assert_eq!(name, "etl"),
            Event::Changed(_) => {}
        }
    }
}

#[tokio::test]
async fn a_late_watch_begins_with_the_state_and_tells_of_one_environment_only() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let mut events = watch(&supervisor, "etl").await;
    let Event::Changed(first) = next(&mut events).await else { panic!("it begins with the state") };
    assert_eq!(first.phase(), Phase::Serving);
    control.deploy(request("web", supervisor.store.fixture("exits_at_once"))).await.unwrap();
    control.stop("etl").await.unwrap();
    let last = until(Phase::Stopped, &mut events).await;
    assert_eq!(last.name, "etl");
}
