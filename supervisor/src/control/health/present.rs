//! What there is of an environment to ask for its health, at one moment.

use std::time::Duration;

use tokio::time::timeout;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    code_server::{CodeSocket, health::Health},
    environment::Registry,
    words::{EnvironmentName, GenerationNumber, GenerationPhase},
};

/// A kubelet's probe gives up after a second by default; a code server in a long import answers late. Connecting alone
/// may take one second (a full accept queue).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// An environment as something that can be asked.
#[derive(Clone, Debug)]
pub enum Present {
    /// There is none of that name.
    Absent,
    /// Nothing serves.
    Idle,
    /// A generation serves.
    Serving {
        /// Which.
        generation: GenerationNumber,
        /// Where.
        socket: CodeSocket,
        /// Under which name it knows its own health.
        service: String,
    },
}

impl Present {
    /// The environment as it is now.
    pub fn of(registry: &Registry, name: &EnvironmentName) -> Self {
        let Ok(status) = registry.get(name) else { return Self::Absent };
        let serving = status.generations.iter().find(|it| it.phase == GenerationPhase::Serving);
        match (serving, registry.code_socket(name), status.revision) {
            (Some(generation), Ok(socket), Some(revision)) => {
                let generation = generation.number;
                Self::Serving { generation, socket, service: revision.spec.health_service }
            }
            _ => Self::Idle,
        }
    }

    /// Is there the same to ask as at another moment?
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) | (Self::Idle, Self::Idle) => true,
            (Self::Serving { generation, .. }, Self::Serving { generation: other, .. }) => generation == other,
            _ => false,
        }
    }

    /// One answer. A code server that gives none in time is not serving.
    pub async fn ask(&self) -> ServingStatus {
        match self {
            Self::Absent => ServingStatus::ServiceUnknown,
            Self::Idle => ServingStatus::NotServing,
            Self::Serving { socket, service, .. } => {
                let asked = timeout(ANSWER_TIMEOUT, answer(socket.clone(), service)).await;
                asked.ok().flatten().unwrap_or(ServingStatus::NotServing)
            }
        }
    }
}

async fn answer(socket: CodeSocket, service: &str) -> Option<ServingStatus> {
    let mut health = Health::connect(socket).await.ok()?;
    match health.check(service).await {
        // There is an environment; that its code server does not know its own name is not the caller's mistake.
        Ok(ServingStatus::ServiceUnknown) => Some(ServingStatus::Unknown),
        Err(status) if status.code() == tonic::Code::NotFound => Some(ServingStatus::Unknown),
        answer => answer.ok(),
    }
}
