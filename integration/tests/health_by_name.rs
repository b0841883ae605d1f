//! grpc.health.v1 on the control socket answers for the supervisor and for each environment by its name.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pexvisor_integration::{Supervisor, eventually};
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_client::HealthClient,
};

struct Health(HealthClient<Channel>);

impl Health {
    fn of(supervisor: &Supervisor) -> Self {
        let uri = format!("unix:{}", supervisor.control_socket().display());
        Self(HealthClient::new(Endpoint::from_shared(uri).expect("a socket's path is a URI").connect_lazy()))
    }

    async fn check(&self, service: &str) -> Result<ServingStatus, Status> {
        let request = HealthCheckRequest { service: service.to_owned() };
        Ok(self.0.clone().check(request).await?.into_inner().status())
    }

    async fn watch(&self, service: &str) -> Watched {
        let request = HealthCheckRequest { service: service.to_owned() };
        Watched(self.0.clone().watch(request).await.expect("Watch never refuses a name").into_inner())
    }
}

struct Watched(Streaming<HealthCheckResponse>);

impl Watched {
    async fn next(&mut self) -> ServingStatus {
        let next = tokio::time::timeout(std::time::Duration::from_secs(30), self.0.message()).await;
        next.expect("a status comes in time").expect("the stream lives").expect("the stream goes on").status()
    }
}

#[tokio::test]
async fn the_supervisor_serves_and_a_stranger_is_not_found() {
    let supervisor = Supervisor::start().await;
    let health = Health::of(&supervisor);
    assert_eq!(health.check("").await.unwrap(), ServingStatus::Serving);
    for stranger in ["nobody", "No/Name"] {
        assert_eq!(health.check(stranger).await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn an_environment_answers_as_long_as_it_serves() {
    let supervisor = Supervisor::start().await;
    let (control, health) = (supervisor.control(), Health::of(&supervisor));
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    assert_eq!(health.check("etl").await.unwrap(), ServingStatus::Serving);
    control.stop("etl").await.unwrap();
    assert_eq!(health.check("etl").await.unwrap(), ServingStatus::NotServing);
}

#[tokio::test]
async fn a_watch_follows_an_environment_from_before_its_first_deploy_to_its_removal() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let mut watched = Health::of(&supervisor).watch("etl").await;
    assert_eq!(watched.next().await, ServingStatus::ServiceUnknown);
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    while watched.next().await != ServingStatus::Serving {}
    control.stop("etl").await.unwrap();
    while watched.next().await != ServingStatus::NotServing {}
    control.remove("etl").await.unwrap();
    while watched.next().await != ServingStatus::ServiceUnknown {}
}

#[tokio::test]
async fn a_hung_code_server_is_not_serving_though_it_lives() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let mut watched = Health::of(&supervisor).watch("etl").await;
    assert_eq!(watched.next().await, ServingStatus::Serving);
    let pid = Pid::from_raw(eventually("it has a pid", async || control.serving_pid("etl").await).await);
    kill(pid, Signal::SIGSTOP).unwrap();
    assert_eq!(watched.next().await, ServingStatus::NotServing);
    kill(pid, Signal::SIGCONT).unwrap();
    assert_eq!(watched.next().await, ServingStatus::Serving);
}
