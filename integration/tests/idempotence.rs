//! A request id makes a deploy repeatable: the same id follows the same deploy, however often and from wherever.

use pexvisor_integration::{
    HttpStore, Supervisor,
    http_store::Manner,
    pexes::{self, with_env},
    request,
};
use pexvisor_proto::v1::{DeployRequest, deploy_event::Event};
use tonic::Code;

fn with_id(id: &str, request: DeployRequest) -> DeployRequest {
    DeployRequest { request_id: id.to_owned(), ..request }
}

#[tokio::test]
async fn a_dropped_stream_is_followed_further_with_the_same_id() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let gate = supervisor.home().join("gate");
    let spec = with_env("START_WHEN_EXISTS", gate.to_string_lossy(), supervisor.store.fixture("slow_start"));
    let deploy = with_id("deploy-1", request("etl", spec));
    let mut stream = control.deploy_stream(deploy.clone()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.iter().any(|event: &pexvisor_proto::v1::DeployEvent| matches!(event.event, Some(Event::Starting(_)))) {
        seen.push(stream.message().await.unwrap().expect("STARTING comes before the end"));
    }
    drop(stream);
    let again = tokio::spawn({
        let control = control.clone();
        async move { control.deploy(deploy).await }
    });
    std::fs::write(&gate, "").unwrap();
    let outcome = again.await.unwrap().unwrap();
    assert_eq!(outcome.ready(), 1, "it is the same deploy");
    assert_eq!(outcome.events[..seen.len()], seen, "the same event has the same number on every stream");
    assert_eq!(control.get("etl").await.unwrap().newest_revision, 1);
}

#[tokio::test]
async fn a_repeat_after_the_end_gives_the_same_end() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let deploy = with_id("deploy-1", request("etl", supervisor.store.echo("v1")));
    let first = control.deploy(deploy.clone()).await.unwrap();
    let pid = control.serving_pid("etl").await;
    let repeat = control.deploy(deploy).await.unwrap();
    assert_eq!((first.ready(), repeat.ready()), (1, 1));
    assert_eq!(control.serving_pid("etl").await, pid, "nothing was started again");
}

#[tokio::test]
async fn a_repeat_whose_url_was_signed_anew_is_the_same_deploy() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let http = HttpStore::start(Manner::Serves(std::fs::read(pexes::path("tiny-v1")).unwrap())).await;
    let signed = |signature: &str| {
        let mut spec = supervisor.store.echo("v1");
        spec.artifacts[1].location = format!("{}-{signature}", http.url());
        with_id("deploy-1", request("etl", spec))
    };
    control.deploy(signed("first")).await.unwrap().ready();
    assert_eq!(control.deploy(signed("again")).await.unwrap().ready(), 1);
    assert_eq!(control.get("etl").await.unwrap().newest_revision, 1);
}

#[tokio::test]
async fn the_same_id_with_other_contents_is_refused() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy(with_id("deploy-1", request("etl", supervisor.store.echo("v1")))).await.unwrap().ready();
    let status = control.deploy(with_id("deploy-1", request("etl", supervisor.store.echo("v2")))).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists, "{status:?}");
    assert!(status.message().contains("deploy-1"), "{}", status.message());
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
    assert_eq!(control.get("etl").await.unwrap().newest_revision, 1);
}

#[tokio::test]
async fn an_id_is_remembered_across_a_kill_of_the_supervisor() {
    let mut supervisor = Supervisor::start().await;
    let deploy = with_id("deploy-1", request("etl", supervisor.store.echo("v1")));
    supervisor.control().deploy(deploy.clone()).await.unwrap().ready();
    supervisor.sigkill();
    supervisor.start_again().await;
    assert_eq!(supervisor.control().deploy(deploy).await.unwrap().revision(), 1);
    assert_eq!(supervisor.control().get("etl").await.unwrap().newest_revision, 1);
}
