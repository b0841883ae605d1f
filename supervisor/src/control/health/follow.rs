//! Follows the health of one environment through its generations: one task per Watch, which ends with its reader.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use super::present::Present;
use crate::{
    code_server::{CodeSocket, health::Health},
    environment::{Change, Changes, Registry},
    words::EnvironmentName,
};

/// How often a code server is asked that has no Watch of its own or cut it off.
const ASK_INTERVAL: Duration = Duration::from_secs(2);

/// The health of an environment as it is, and every change of it; a slow reader misses states in between, not the last.
pub fn follow(registry: Registry, name: EnvironmentName) -> watch::Receiver<ServingStatus> {
    let (status, reader) = watch::channel(first(&Present::of(&registry, &name)));
    tokio::spawn(async move {
        let mut changes = registry.changes();
        loop {
            let present = Present::of(&registry, &name);
            tokio::select! {
                () = tell(&present, &status) => {}
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

/// Keeps `status` at what the environment says. Returns when that cannot be followed as it is.
async fn tell(present: &Present, status: &watch::Sender<ServingStatus>) {
    let Present::Serving { socket, service, .. } = present else {
        set(status, first(present));
        return std::future::pending().await;
    };
    if let Err(NoWatch) = watch(socket.clone(), service, status).await {
        set(status, present.ask().await);
    }
    sleep(ASK_INTERVAL).await;
}

/// The code server does not stream its health.
struct NoWatch;

/// Passes on what the code server streams, to the end of that stream.
async fn watch(socket: CodeSocket, service: &str, status: &watch::Sender<ServingStatus>) -> Result<(), NoWatch> {
    let Ok(mut health) = Health::connect(socket).await else {
        set(status, ServingStatus::NotServing);
        return Ok(());
    };
    match health.watch(service).await {
        Ok(mut answers) => {
            while let Ok(Some(answer)) = answers.message().await {
                set(status, known(answer.status()));
            }
            set(status, ServingStatus::NotServing);
            Ok(())
        }
        Err(refusal) if refusal.code() == Code::Unimplemented => Err(NoWatch),
        Err(_) => {
            set(status, ServingStatus::NotServing);
            Ok(())
        }
    }
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
