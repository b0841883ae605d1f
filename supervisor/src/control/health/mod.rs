//! grpc.health.v1 of the supervisor ("") and of each environment by its name, from its code server's own answer.

mod follow;
mod present;

use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
};

use self::present::Present;
use super::streams::{self, Events};
use crate::{environment::Registry, words::EnvironmentName};
use futures_util::{StreamExt, stream};

/// The names that stand for the supervisor itself.
const SUPERVISOR_SERVICES: [&str; 2] = ["", "pexvisor.v1.Supervisor"];

/// The service.
pub struct HealthService {
    registry: Registry,
    shutdown: CancellationToken,
}

impl HealthService {
    /// Answers for the environments of `registry`; for the supervisor itself until `shutdown`.
    pub fn new(registry: Registry, shutdown: CancellationToken) -> Self {
        Self { registry, shutdown }
    }

    fn supervisor(&self) -> ServingStatus {
        if self.shutdown.is_cancelled() { ServingStatus::NotServing } else { ServingStatus::Serving }
    }

    /// SERVING now, NOT_SERVING at the end.
    fn watch_supervisor(&self) -> Events<HealthCheckResponse> {
        let shutdown = self.shutdown.clone();
        let end = async move {
            shutdown.cancelled().await;
            Ok(answer(ServingStatus::NotServing))
        };
        let now = stream::iter([Ok(answer(ServingStatus::Serving))]);
        Box::pin(now.chain(stream::once(end)))
    }

    fn watch_environment(&self, name: EnvironmentName) -> Events<HealthCheckResponse> {
        let statuses = WatchStream::new(follow::follow(self.registry.clone(), name));
        streams::ending_with(&self.shutdown, statuses.map(|status| Ok(answer(status))))
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = Events<HealthCheckResponse>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let HealthCheckRequest { service } = request.into_inner();
        if SUPERVISOR_SERVICES.contains(&service.as_str()) {
            return Ok(Response::new(answer(self.supervisor())));
        }
        let unknown = || Status::not_found(format!("there is no environment {service:?}; List shows those there are"));
        let name = service.parse().map_err(|_| unknown())?;
        match Present::of(&self.registry, &name).ask().await {
            ServingStatus::ServiceUnknown => Err(unknown()),
            status => Ok(Response::new(answer(status))),
        }
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let HealthCheckRequest { service } = request.into_inner();
        if SUPERVISOR_SERVICES.contains(&service.as_str()) {
            return Ok(Response::new(self.watch_supervisor()));
        }
        match service.parse() {
            Ok(name) => Ok(Response::new(self.watch_environment(name))),
            // No environment will ever have this name, but the protocol wants the call to stay open.
            Err(_) => {
                let now = stream::iter([Ok(answer(ServingStatus::ServiceUnknown))]);
                Ok(Response::new(streams::ending_with(&self.shutdown, now.chain(stream::pending()))))
            }
        }
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
