//! The other ways in: health checks, unix sockets, the end of the proxy. With tonic where a real client matters.

use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::*;
use crate::words::EnvironmentName;

async fn health_client(scene: &Scene) -> HealthClient<tonic::transport::Channel> {
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://127.0.0.1:{}", scene.port())).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn a_probe_without_a_route_is_told_about_the_supervisor() {
    let scene = Scene::new().await;
    let mut probe = health_client(&scene).await;
    let status = probe.check(about("")).await.unwrap().into_inner().status;
    assert_eq!(status, i32::from(ServingStatus::Serving));
    scene.health.send(Health::NotServing).unwrap();
    let status = probe.check(about("")).await.unwrap().into_inner().status;
    assert_eq!(status, i32::from(ServingStatus::NotServing));
    assert_eq!(probe.check(about("no.Such")).await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_watch_hears_of_every_change() {
    let scene = Scene::new().await;
    let mut changes = health_client(&scene).await.watch(about("")).await.unwrap().into_inner();
    for (health, status) in [(Health::NotServing, 2), (Health::Serving, 1), (Health::NotServing, 2)] {
        assert_eq!(changes.message().await.unwrap().unwrap().status, 3 - status);
        scene.health.send(health).unwrap();
    }
    assert_eq!(changes.message().await.unwrap().unwrap().status, 2);
}

#[tokio::test]
async fn a_health_check_with_a_route_is_the_code_servers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tonic.sock");
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("DagsterApi", tonic_health::ServingStatus::Serving).await;
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    let scene = Scene::new().await;
    scene.set(&Route::Serving(Arc::new(Target::new(2, CodeSocket::new(path, Arc::new(|_| true))))));
    let mut request = tonic::Request::new(about("DagsterApi"));
    request.metadata_mut().insert("x-pexvisor-environment", "etl".parse().unwrap());
    request.set_timeout(Duration::from_secs(5));
    let status = health_client(&scene).await.check(request).await.unwrap().into_inner().status;
    assert_eq!(status, i32::from(ServingStatus::Serving));
}

#[tokio::test]
async fn an_environments_socket_leads_to_it_and_is_gone_when_closed() {
    let scene = Scene::new().await;
    let (etl, path): (EnvironmentName, _) = ("etl".parse().unwrap(), scene.dir.path().join("doors/etl.sock"));
    scene.proxy.open_environment_door(&etl, &path).await.unwrap();
    let through = client(UnixStream::connect(&path).await.unwrap()).await;
    assert_eq!(call(&through, request_to("other", "Echo"), message(b"x")).await.unwrap().status(), 0);
    scene.proxy.open_environment_door(&etl, &path).await.expect("opened again over the old one");
    scene.proxy.close_environment_door(&etl);
    let gone = async {
        while path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the socket goes with the door");
}

#[tokio::test]
async fn shutdown_lets_calls_end_and_waits_no_longer_than_its_grace() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let (response, mut to_server) = start(&client, request("Echo")).await;
    let response = response.await.unwrap();
    let mut watch = health_client(&scene).await.watch(about("")).await.unwrap().into_inner();
    let shutdown = tokio::spawn(scene.proxy.shutdown(Duration::from_secs(30)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    to_server.send_data(message(b"last words"), true).unwrap();
    assert_eq!(answer(response).await.unwrap().body, message(b"last words"));
    tokio::time::timeout(Duration::from_secs(5), shutdown).await.expect("it ends with the last call").unwrap();
    assert!(watch.message().await.unwrap().is_some() && watch.message().await.unwrap().is_none());

    let scene = Scene::new().await;
    let _stuck = start(&scene.client().await, request("Silent")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    scene.proxy.shutdown(Duration::from_millis(200)).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
}
