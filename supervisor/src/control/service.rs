//! The calls of `pexvisor.v1.Supervisor`: parse, pass on, show.

use std::time::Instant;

use pexvisor_proto::v1::{self, supervisor_server::Supervisor};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    Control,
    describe::About,
    grpc_status::{of_field, of_request},
    parse, show,
    streams::{self, Events},
};
use crate::{
    artifact::Artifacts,
    environment::{DeployOrder, Deployment, Registry, RequestError},
};

/// The service.
pub struct Service {
    registry: Registry,
    artifacts: Artifacts,
    about: About,
    shutdown: CancellationToken,
}

impl Service {
    /// The service over what `control` answers from; its streams end at `shutdown`.
    pub fn new(control: &Control, shutdown: CancellationToken) -> Self {
        let Control { registry, artifacts, about, .. } = control;
        Self { registry: registry.clone(), artifacts: artifacts.clone(), about: about.clone(), shutdown }
    }

    fn followed(&self, deployment: Deployment) -> Response<Events<v1::DeployEvent>> {
        Response::new(streams::ending_with(&self.shutdown, streams::deploy_events(deployment)))
    }
}

/// Carries a change through even if its caller hangs up: half of a request must never stay behind.
async fn through<T: Send + 'static>(
    change: impl Future<Output = Result<T, RequestError>> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::spawn(change).await;
    done.map_err(|_| Status::internal("the request met a defect; the supervisor's log has more"))?
        .map_err(|error| of_request(&error))
}

#[tonic::async_trait]
impl Supervisor for Service {
    type DeployStream = Events<v1::DeployEvent>;
    type RestartStream = Events<v1::DeployEvent>;
    type RollbackStream = Events<v1::DeployEvent>;
    type WatchStream = Events<v1::WatchEvent>;
    type LogsStream = Events<v1::LogLine>;
    type StageStream = Events<v1::StageEvent>;

    async fn deploy(&self, request: Request<v1::DeployRequest>) -> Result<Response<Self::DeployStream>, Status> {
        let received = Instant::now();
        let parse::Deploy { environment, spec, request_id, expected_revision } =
            parse::deploy(request.into_inner()).map_err(|bad| of_field(&bad))?;
        let order = DeployOrder { environment, spec, request_id, expected_revision, received };
        let registry = self.registry.clone();
        Ok(self.followed(through(async move { registry.deploy(order).await }).await?))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::Environment>, Status> {
        let v1::GetRequest { environment } = request.into_inner();
        let name = parse::name(&environment).map_err(|bad| of_field(&bad))?;
        let status = self.registry.get(&name).map_err(|error| of_request(&error))?;
        Ok(Response::new(show::environment(status)))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let v1::ListRequest {} = request.into_inner();
        let environments = self.registry.list().into_iter().map(show::environment).collect();
        Ok(Response::new(v1::ListResponse { environments }))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let name = parse::watch(request.into_inner()).map_err(|bad| of_field(&bad))?;
        let events = streams::changes(self.registry.changes(), name);
        Ok(Response::new(streams::ending_with(&self.shutdown, events)))
    }

    async fn stop(&self, request: Request<v1::StopRequest>) -> Result<Response<v1::Environment>, Status> {
        let v1::StopRequest { environment } = request.into_inner();
        let name = parse::name(&environment).map_err(|bad| of_field(&bad))?;
        let registry = self.registry.clone();
        let status = through(async move { registry.stop(&name).await }).await?;
        Ok(Response::new(show::environment(status)))
    }

    async fn remove(&self, request: Request<v1::RemoveRequest>) -> Result<Response<v1::RemoveResponse>, Status> {
        let v1::RemoveRequest { environment } = request.into_inner();
        let name = parse::name(&environment).map_err(|bad| of_field(&bad))?;
        let registry = self.registry.clone();
        through(async move { registry.remove(&name).await }).await?;
        Ok(Response::new(v1::RemoveResponse {}))
    }

    async fn restart(&self, request: Request<v1::RestartRequest>) -> Result<Response<Self::RestartStream>, Status> {
        let v1::RestartRequest { environment } = request.into_inner();
        let name = parse::name(&environment).map_err(|bad| of_field(&bad))?;
        let registry = self.registry.clone();
        Ok(self.followed(through(async move { registry.restart(&name).await }).await?))
    }

    async fn rollback(&self, request: Request<v1::RollbackRequest>) -> Result<Response<Self::RollbackStream>, Status> {
        let (name, to) = parse::rollback(request.into_inner()).map_err(|bad| of_field(&bad))?;
        let registry = self.registry.clone();
        Ok(self.followed(through(async move { registry.rollback(&name, to).await }).await?))
    }

    async fn set_limits(&self, _: Request<v1::SetLimitsRequest>) -> Result<Response<v1::Environment>, Status> {
        Err(Status::unimplemented("SetLimits is not in this version; deploy again with other limits"))
    }

    async fn logs(&self, request: Request<v1::LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let logs = parse::logs(request.into_inner()).map_err(|bad| of_field(&bad))?;
        let lines = streams::log_lines(&self.registry, logs)?;
        Ok(Response::new(streams::ending_with(&self.shutdown, lines)))
    }

    async fn stage(&self, request: Request<v1::StageRequest>) -> Result<Response<Self::StageStream>, Status> {
        let parse::Stage { artifacts, interpreter } =
            parse::stage(request.into_inner()).map_err(|bad| of_field(&bad))?;
        let events = streams::stage(self.artifacts.clone(), artifacts, interpreter);
        Ok(Response::new(streams::ending_with(&self.shutdown, events)))
    }

    async fn claim(&self, _: Request<v1::ClaimRequest>) -> Result<Response<v1::ClaimResponse>, Status> {
        Err(Status::unimplemented("Claim is not in this version; keep tenants apart by container"))
    }

    async fn describe(&self, request: Request<v1::DescribeRequest>) -> Result<Response<v1::DescribeResponse>, Status> {
        let v1::DescribeRequest {} = request.into_inner();
        Ok(Response::new(self.about.describe(self.artifacts.describe())))
    }
}
