//! Requests that can never succeed are refused before anything is numbered, with the field named.

use pexvisor_integration::{Supervisor, request};
use pexvisor_proto::v1::{
    Artifact, ClaimRequest, Command, DagsterProfile, DeployRequest, Limits, Readiness, RevisionSpec, SetLimitsRequest,
    command::Kind,
};
use prost::Message as _;
use prost_types::Duration;
use tonic::Code;

/// A supervisor on which v1 serves, to send bad requests to.
struct Serving(Supervisor);

impl Serving {
    async fn v1() -> Self {
        let supervisor = Supervisor::start().await;
        supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
        Self(supervisor)
    }

    /// What `spoil` makes of a good request is INVALID_ARGUMENT with `field` named, and v1 serves on.
    async fn refuses(&self, field: &str, spoil: impl FnOnce(&mut DeployRequest)) {
        let control = self.0.control();
        let mut bad = request("etl", self.0.store.echo("v2"));
        spoil(&mut bad);
        let status = control.deploy(bad).await.expect_err("the request can never succeed");
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains(field), "{field} is named: {}", status.message());
        assert_eq!(control.get("etl").await.expect("the environment").newest_revision, 1, "nothing was numbered");
        assert_eq!(self.0.echo("etl").marker().await.expect("an answer"), "v1:");
    }

    /// As [`Serving::refuses`], for the revision in the request.
    async fn refuses_revision(&self, field: &str, spoil: impl FnOnce(&mut RevisionSpec)) {
        self.refuses(field, |request| spoil(request.revision.as_mut().expect("a revision"))).await;
    }
}

#[tokio::test]
async fn without_a_name() {
    let serving = Serving::v1().await;
    serving.refuses("environment", |request| *request = DeployRequest::default()).await;
}

#[tokio::test]
async fn without_a_revision() {
    let serving = Serving::v1().await;
    serving.refuses("revision", |request| request.revision = None).await;
}

#[tokio::test]
async fn without_artifacts() {
    let serving = Serving::v1().await;
    serving.refuses_revision("artifacts", |revision| revision.artifacts.clear()).await;
}

#[tokio::test]
async fn with_17_artifacts() {
    let serving = Serving::v1().await;
    serving
        .refuses_revision("artifacts", |revision| revision.artifacts = vec![revision.artifacts[0].clone(); 17])
        .await;
}

#[tokio::test]
async fn with_a_digest_that_is_none() {
    let serving = Serving::v1().await;
    for bad in ["", "abc", &"A".repeat(64), &"g".repeat(64), &format!("{}/../x", "a".repeat(59))] {
        serving.refuses_revision("sha256", |revision| revision.artifacts[0].sha256 = bad.to_owned()).await;
    }
}

#[tokio::test]
async fn with_a_location_outside_of_the_store() {
    let serving = Serving::v1().await;
    for bad in ["../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "ftp://host/x"] {
        serving.refuses_revision("location", |revision| revision.artifacts[0].location = bad.to_owned()).await;
    }
}

#[tokio::test]
async fn without_a_command() {
    let serving = Serving::v1().await;
    serving.refuses_revision("command", |revision| revision.command = None).await;
    serving.refuses_revision("command", |revision| revision.command = Some(Command::default())).await;
}

#[tokio::test]
async fn with_two_targets_in_the_dagster_profile() {
    let serving = Serving::v1().await;
    let profile = DagsterProfile { package_name: "a".into(), module_name: "b".into(), ..DagsterProfile::default() };
    let command = Command { kind: Some(Kind::Dagster(profile)), args: Vec::new() };
    serving.refuses_revision("package_name", |revision| revision.command = Some(command)).await;
}

#[tokio::test]
async fn with_variables_that_are_the_supervisors_or_none_or_too_many() {
    let serving = Serving::v1().await;
    for (name, value) in [("PEXVISOR_SOCKET", "x"), ("", "x"), ("A=B", "x"), ("A\0B", "x"), ("A", "x\0y")] {
        serving.refuses_revision("env", |revision| drop(revision.env.insert(name.into(), value.into()))).await;
    }
    serving.refuses_revision("env", |revision| drop(revision.env.insert("BIG".into(), "x".repeat(257 * 1024)))).await;
}

#[tokio::test]
async fn with_timeouts_out_of_bounds() {
    let serving = Serving::v1().await;
    let seconds = |seconds| Some(Duration { seconds, nanos: 0 });
    serving.refuses_revision("drain_timeout", |revision| revision.drain_timeout = seconds(3601)).await;
    serving.refuses_revision("drain_timeout", |revision| revision.drain_timeout = seconds(-1)).await;
    serving.refuses_revision("terminate_timeout", |revision| revision.terminate_timeout = seconds(601)).await;
    let readiness = Readiness { start_timeout: seconds(3601), ..Readiness::default() };
    serving.refuses_revision("start_timeout", |revision| revision.readiness = Some(readiness)).await;
}

#[tokio::test]
async fn with_limits_out_of_bounds() {
    let serving = Serving::v1().await;
    let limits = Limits { cpu_weight: 10_001, ..Limits::default() };
    serving.refuses_revision("cpu_weight", |revision| revision.limits = Some(limits)).await;
}

#[tokio::test]
async fn with_texts_that_are_too_long() {
    let serving = Serving::v1().await;
    serving.refuses_revision("label", |revision| revision.label = "x".repeat(257)).await;
    serving.refuses("request_id", |request| request.request_id = "x".repeat(129)).await;
}

#[tokio::test]
async fn an_expected_revision_that_is_not_the_current_one_is_aborted() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let expecting = |expected, version| DeployRequest {
        expected_revision: Some(expected),
        ..request("etl", supervisor.store.echo(version))
    };
    let status = control.deploy(expecting(1, "v1")).await.expect_err("there is no revision yet");
    assert_eq!(status.code(), Code::Aborted, "{status:?}");
    assert_eq!(control.get("etl").await.unwrap_err().code(), Code::NotFound, "the refusal made no environment");
    control.deploy(expecting(0, "v1")).await.unwrap().ready();
    for stale in [0, 2] {
        let status = control.deploy(expecting(stale, "v2")).await.unwrap_err();
        assert_eq!(status.code(), Code::Aborted, "{status:?}");
        assert!(status.message().contains('1'), "the current one is named: {}", status.message());
        assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
    }
    control.deploy(expecting(1, "v2")).await.unwrap().ready();
}

#[tokio::test]
async fn fields_that_this_version_does_not_know_are_ignored() {
    let supervisor = Supervisor::start().await;
    let mut bytes = request("etl", supervisor.store.echo("v1")).encode_to_vec();
    // Field 2000, a string.
    prost::encoding::string::encode(2000, &"from a newer client".to_owned(), &mut bytes);
    let status = pexvisor_integration::control::raw(&supervisor.control_socket(), "Deploy", bytes).await;
    assert!(status.is_ok(), "{status:?}");
    pexvisor_integration::eventually("it serves", async || supervisor.echo("etl").marker().await.ok()).await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let answer = pexvisor_integration::control::raw(&supervisor.control_socket(), "Deploy", vec![0xff; 100]).await;
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
}

#[tokio::test]
async fn calls_of_later_versions_are_unimplemented_and_say_so() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let mut client = supervisor.control().client();
    let limits = SetLimitsRequest { environment: "etl".to_owned(), ..SetLimitsRequest::default() };
    assert_eq!(client.set_limits(limits).await.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(client.claim(ClaimRequest::default()).await.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn an_artifact_that_the_store_does_not_have_fails_the_deploy_only() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let mut spec = supervisor.store.echo("v2");
    spec.artifacts[1] = Artifact { sha256: "0".repeat(64), location: String::new() };
    let outcome = control.deploy(request("etl", spec)).await.unwrap();
    let (failure, still_serving) = outcome.failed(pexvisor_proto::v1::FailureReason::Fetch);
    assert!(failure.message.contains(&"0".repeat(64)), "{}", failure.message);
    assert_eq!(still_serving, 1);
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
}
