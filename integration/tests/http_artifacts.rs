//! Artifacts from http URLs, and every way in which such a store lets a deploy down.

use pexvisor_integration::{HttpStore, Supervisor, http_store::Manner, pexes, request};
use pexvisor_proto::v1::{Artifact, Failure, FailureReason, RevisionSpec};

fn source() -> Vec<u8> {
    std::fs::read(pexes::path("tiny-v2")).expect("read a test pex")
}

/// v2, its source to be had from `store`.
fn v2_from(store: &HttpStore, supervisor: &Supervisor) -> RevisionSpec {
    let mut spec = supervisor.store.echo("v2");
    std::fs::remove_file(supervisor.store.file_of(&spec.artifacts[1].sha256))
        .expect("take it out of the default store");
    spec.artifacts[1] = Artifact { location: store.url(), ..spec.artifacts[1].clone() };
    spec
}

/// v1 serves, a deploy of v2 from a store of this manner fails for `reason`, and v1 serves on.
async fn fails(reason: FailureReason, manner: Manner) -> Failure {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let store = HttpStore::start(manner).await;
    let outcome = control.deploy(request("etl", v2_from(&store, &supervisor))).await.expect("it is accepted");
    let (failure, still_serving) = outcome.failed(reason);
    assert_eq!(still_serving, 1);
    assert!(!failure.message.contains("signature"), "a presigned URL's secret is not told: {}", failure.message);
    assert_eq!(supervisor.echo("etl").marker().await.expect("an answer"), "v1:");
    assert!(store.asked() > 0);
    failure
}

#[tokio::test]
async fn an_artifact_comes_from_its_url() {
    let supervisor = Supervisor::start().await;
    let store = HttpStore::start(Manner::Serves(source())).await;
    supervisor.control().deploy_ready("etl", v2_from(&store, &supervisor)).await;
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v2:");
}

#[tokio::test]
async fn many_deploys_of_one_digest_fetch_it_once() {
    let supervisor = Supervisor::start().await;
    let store = HttpStore::start(Manner::Serves(source())).await;
    let spec = v2_from(&store, &supervisor);
    let deploys = (0..5).map(|number| {
        let (control, spec) = (supervisor.control(), spec.clone());
        tokio::spawn(async move { control.deploy_ready(&format!("etl-{number}"), spec).await })
    });
    for deploy in deploys.collect::<Vec<_>>() {
        deploy.await.unwrap();
    }
    assert_eq!(store.asked(), 1);
}

#[tokio::test]
async fn a_store_that_slows_down_is_asked_again() {
    let supervisor = Supervisor::start().await;
    let store = HttpStore::start(Manner::SlowsDown(2, source())).await;
    supervisor.control().deploy_ready("etl", v2_from(&store, &supervisor)).await;
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v2:");
}

#[tokio::test]
async fn each_refusal_is_told_by_its_status() {
    for status in [403, 404, 500] {
        let failure = fails(FailureReason::Fetch, Manner::Answers(status, "<Error/>".to_owned())).await;
        assert!(failure.message.contains(&status.to_string()), "{status}: {}", failure.message);
    }
}

#[tokio::test]
async fn a_store_that_slows_down_for_ever() {
    let failure = fails(FailureReason::Fetch, Manner::SlowsDown(u32::MAX, Vec::new())).await;
    assert!(failure.message.contains("503"), "{}", failure.message);
}

#[tokio::test]
async fn a_store_that_sends_wrong_bytes() {
    let failure = fails(FailureReason::DigestMismatch, Manner::Serves(b"another file".to_vec())).await;
    assert!(failure.message.contains(&pexes::digest(b"another file")), "what came is named: {}", failure.message);
}

#[tokio::test]
async fn a_store_that_hangs_up_half_way() {
    fails(FailureReason::Fetch, Manner::HangsUp(source())).await;
}

#[tokio::test]
async fn a_store_that_stalls_half_way() {
    let failure = fails(FailureReason::Fetch, Manner::Stalls(source())).await;
    assert!(failure.message.contains("no data for"), "{}", failure.message);
}

#[tokio::test]
async fn a_store_that_never_answers() {
    fails(FailureReason::Fetch, Manner::NeverAnswers).await;
}

#[tokio::test]
async fn a_store_that_nobody_listens_on() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let mut spec = supervisor.store.echo("v2");
    spec.artifacts[1] = Artifact { sha256: "1".repeat(64), location: "http://127.0.0.1:9/x.pex".to_owned() };
    control.deploy(request("etl", spec)).await.unwrap().failed(FailureReason::Fetch);
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
}
