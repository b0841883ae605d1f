//! A call that reaches no code server is told why: each reason has its own status and message.

use pexvisor_integration::{Echo, Supervisor, pexes::with_env, request};
use pexvisor_proto::v1::deploy_event::Event;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

#[tokio::test]
async fn without_a_route_and_to_an_environment_that_is_not_there() {
    let supervisor = Supervisor::start().await;
    let lost = Echo::at(&format!("http://{}", supervisor.proxy)).marker().await.unwrap_err();
    assert_eq!(lost.code(), Code::InvalidArgument, "{lost:?}");
    assert!(lost.message().contains("x-pexvisor-environment"), "it says how to name one: {}", lost.message());
    let unknown = supervisor.echo("nobody").marker().await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "{unknown:?}");
    assert!(unknown.message().contains("nobody"), "{}", unknown.message());
}

#[tokio::test]
async fn to_an_environment_that_starts_for_the_first_time() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let gate = supervisor.home().join("gate");
    let spec = with_env("START_WHEN_EXISTS", gate.to_string_lossy(), supervisor.store.fixture("slow_start"));
    let mut stream = control.deploy_stream(request("etl", spec)).await.unwrap();
    while let Some(event) = stream.message().await.unwrap() {
        if matches!(event.event, Some(Event::Starting(_))) {
            break;
        }
    }
    let refusal = supervisor.echo("etl").marker().await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable, "{refusal:?}");
    assert!(refusal.message().contains("start"), "{}", refusal.message());
    std::fs::write(gate, "").unwrap();
    while stream.message().await.unwrap().is_some() {}
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "slow_start:");
}

#[tokio::test]
async fn to_an_environment_that_failed_with_the_reason() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy(request("etl", supervisor.store.fixture("exits_at_once"))).await.unwrap();
    let refusal = supervisor.echo("etl").marker().await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable, "{refusal:?}");
    assert!(refusal.message().contains("failed"), "{}", refusal.message());
}

#[tokio::test]
async fn health_without_a_route_is_the_supervisors_and_by_name_the_environments() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{}", supervisor.proxy)).unwrap().connect_lazy();
    let mut health = HealthClient::new(channel);
    let answer = health.check(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
    let channel = tonic::transport::Endpoint::from_shared(format!("unix:{}", supervisor.control_socket().display()));
    let mut health = HealthClient::new(channel.unwrap().connect_lazy());
    let ask = |service: &str| HealthCheckRequest { service: service.to_owned() };
    assert_eq!(health.check(ask("etl")).await.unwrap().into_inner().status(), ServingStatus::Serving);
    assert_eq!(health.check(ask("nobody")).await.unwrap_err().code(), Code::NotFound);
    let mut watch = health.watch(ask("etl")).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    control.stop("etl").await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
}
