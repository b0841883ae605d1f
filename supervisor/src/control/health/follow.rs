//! Follows the health of one environment through its generations: one task per Watch, which ends with its reader.

use std::{convert::Infallible, time::Duration};

use tokio::{sync::watch, time::sleep};
use tonic::Streaming;
use tonic_health::pb::{HealthCheckResponse, health_check_response::ServingStatus};

use super::present::Present;
use crate::{
    code_server::{CodeSocket, health::Health},
    environment::{Change, Changes, Registry},
    words::EnvironmentName,
};

/// How often a code server is asked besides: a hung one keeps its stream open and says nothing, and some have no Watch.
const ASK_INTERVAL: Duration = Duration::from_secs(3);

/// The health of an environment as it is, and every change of it; a slow reader misses states in between, not the last.
pub fn follow(registry: Registry, name: EnvironmentName) -> watch::Receiver<ServingStatus> {
    let (status, reader) = watch::channel(first(&Present::of(&registry, &name)));
    tokio::spawn(async move {
        let mut changes = registry.changes();
        loop {
            let present = Present::of(&registry, &name);
            tokio::select! {
                never = tell(&present, &status) => match never {},
                () = other(&mut changes, &registry, &name, &present) => {}
                () = status.closed() => return,
            }
        }
    });
    reader
}

/// What is said before the code server has been asked.
fn first(present: &Present) -> ServingStatus {
    match present {
        Present::Absent => ServingStatus::ServiceUnknown,
        Present::Idle => ServingStatus::NotServing,
        // It passed its readiness check, or it would not be serving.
        Present::Serving { .. } => ServingStatus::Serving,
    }
}

/// Keeps `status` at what the environment says, for as long as the same is there to be asked.
async fn tell(present: &Present, status: &watch::Sender<ServingStatus>) -> Infallible {
    let Present::Serving { socket, service, .. } = present else {
        set(status, first(present));
        return std::future::pending().await;
    };
    let mut answers = watch(socket.clone(), service).await;
    loop {
        let now = tokio::select! {
            answer = next(&mut answers) => answer,
            () = sleep(ASK_INTERVAL) => present.ask().await,
        };
        set(status, known(now));
    }
}

/// The code server's own stream, if it has one.
async fn watch(socket: CodeSocket, service: &str) -> Option<Streaming<HealthCheckResponse>> {
    Health::connect(socket).await.ok()?.watch(service).await.ok()
}

/// The next answer of the stream; never comes when there is none. A stream that ends says that it is not serving.
async fn next(answers: &mut Option<Streaming<HealthCheckResponse>>) -> ServingStatus {
    let Some(stream) = answers else { return std::future::pending().await };
    if let Ok(Some(answer)) = stream.message().await {
        return answer.status();
    }
    *answers = None;
    ServingStatus::NotServing
}

/// There is an environment; that its code server does not know its own name is not the caller's mistake.
fn known(status: ServingStatus) -> ServingStatus {
    if status == ServingStatus::ServiceUnknown { ServingStatus::Unknown } else { status }
}

fn set(status: &watch::Sender<ServingStatus>, now: ServingStatus) {
    status.send_if_modified(|before| std::mem::replace(before, now) != now);
}

/// Comes when something else is there to be asked.
async fn other(changes: &mut Changes, registry: &Registry, name: &EnvironmentName, present: &Present) {
    while let Some(change) = changes.next().await {
        let about = match &change {
            Change::Changed(status) => &status.name,
            Change::Removed(name) => name,
        };
        if about == name && !Present::of(registry, name).is_same(present) {
            return;
        }
    }
}
