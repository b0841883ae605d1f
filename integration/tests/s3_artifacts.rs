//! Artifacts from a real S3 server, and what it says when it refuses.

use std::fs;

use pexvisor_integration::{Supervisor, pexes, request, s3};
use pexvisor_proto::v1::{FailureReason, RevisionSpec};

/// A supervisor whose store is a prefix in the bucket. The directory store beside it is not its own.
async fn on_s3(server: &s3::S3, secret: &str) -> Supervisor {
    let mut supervisor = Supervisor::prepare(&[&format!("--store=s3://{}/pexes", s3::BUCKET)]);
    supervisor.variables = server.variables(secret);
    supervisor.start_again().await;
    supervisor
}

async fn upload(server: &s3::S3, supervisor: &Supervisor, version: &str) -> RevisionSpec {
    let spec = supervisor.store.echo(version);
    for artifact in &spec.artifacts {
        let bytes = fs::read(supervisor.store.file_of(&artifact.sha256)).expect("read a test pex");
        server.upload(&format!("pexes/{}.pex", artifact.sha256), &bytes).await;
    }
    spec
}

#[tokio::test]
async fn artifacts_come_from_a_bucket() {
    let server = s3::S3::start().await;
    let supervisor = on_s3(&server, s3::S3::secret()).await;
    let spec = upload(&server, &supervisor, "v1").await;
    supervisor.control().deploy_ready("etl", spec).await;
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
}

#[tokio::test]
async fn a_missing_key_and_wrong_bytes_fail_the_deploy_only() {
    let server = s3::S3::start().await;
    let supervisor = on_s3(&server, s3::S3::secret()).await;
    let control = supervisor.control();
    control.deploy_ready("etl", upload(&server, &supervisor, "v1").await).await;
    let missing = supervisor.store.echo("v2");
    let outcome = control.deploy(request("etl", missing.clone())).await.unwrap();
    let (failure, still_serving) = outcome.failed(FailureReason::Fetch);
    let digest = &missing.artifacts[1].sha256;
    assert!(failure.message.contains(digest) && still_serving == 1, "{failure:#?}");
    server.upload(&format!("pexes/{digest}.pex"), &fs::read(pexes::path("tiny-v3")).unwrap()).await;
    let outcome = control.deploy(request("etl", missing)).await.unwrap();
    outcome.failed(FailureReason::DigestMismatch);
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_told() {
    let server = s3::S3::start().await;
    let supervisor = on_s3(&server, "another secret").await;
    let spec = upload(&server, &supervisor, "v1").await;
    let (failure, _) = supervisor.control().deploy(request("etl", spec)).await.unwrap().failed(FailureReason::Fetch);
    assert!(failure.message.contains("403") || failure.message.contains("refuse"), "{}", failure.message);
    assert!(!failure.message.contains("another secret"), "{}", failure.message);
}
