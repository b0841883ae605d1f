//! Files that are no good pex are refused with what is wrong with them, and what served before serves on.

use std::fs;

use pexvisor_integration::{Supervisor, eventually, observe, pexes, request};
use pexvisor_proto::v1::{Artifact, Failure, FailureReason, StageRequest, stage_event::Event};

/// A supervisor on which v1 serves, to deploy bad artifacts to.
struct Serving(Supervisor);

impl Serving {
    async fn v1() -> Self {
        let supervisor = Supervisor::start().await;
        supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
        Self(supervisor)
    }

    /// A deploy with this source fails for `reason`, v1 serves on, and nothing is left of it.
    async fn refuses(&self, reason: FailureReason, source: Artifact) -> Failure {
        let mut spec = self.0.store.echo("v2");
        spec.artifacts[1] = source;
        let outcome = self.0.control().deploy(request("etl", spec)).await.expect("the deploy is accepted");
        let (failure, still_serving) = outcome.failed(reason);
        assert_eq!(still_serving, 1, "{failure:#?}");
        assert_eq!(self.0.echo("etl").marker().await.expect("an answer"), "v1:");
        let staged = observe::files_under(&self.0.state_dir().join("tmp"));
        assert!(staged.is_empty(), "{failure:#?}\n{staged:#?}");
        failure
    }

    /// As [`Serving::refuses`], for one of the pexes that `hostile.py` makes; the message names each of `told`.
    async fn refuses_hostile(&self, name: &str, told: &[&str]) {
        let bytes = fs::read(pexes::path(&format!("hostile/{name}"))).expect("read a test pex");
        let failure = self.refuses(FailureReason::BadArtifact, self.0.store.offer_bytes(&bytes)).await;
        for word in told {
            assert!(failure.message.contains(word), "{name}: {word:?} is not in {:?}", failure.message);
        }
    }
}

#[tokio::test]
async fn wrong_digests() {
    let serving = Serving::v1().await;
    let bytes = fs::read(pexes::path("tiny-v2")).unwrap();
    let claimed = "a".repeat(64);
    let failure = serving.refuses(FailureReason::DigestMismatch, serving.0.store.offer_as(&claimed, &bytes)).await;
    assert!(failure.message.contains(&claimed) && failure.message.contains(&pexes::digest(&bytes)), "{failure:#?}");
    let whole = pexes::digest(&bytes);
    let cut = serving.0.store.offer_as(&whole, &bytes[..bytes.len() - 1]);
    serving.refuses(FailureReason::DigestMismatch, cut).await;
    let installs =
        observe::files_under(&serving.0.state_dir()).into_iter().filter(|f| f.to_string_lossy().contains(&claimed));
    assert_eq!(installs.count(), 0, "nothing that differs from its digest is kept");
}

#[tokio::test]
async fn files_that_are_no_zip() {
    let serving = Serving::v1().await;
    for name in ["empty", "text", "noise", "truncated"] {
        serving.refuses_hostile(name, &["zip"]).await;
    }
}

#[tokio::test]
async fn a_corrupt_entry_is_named() {
    Serving::v1().await.refuses_hostile("corrupt", &["tiny_server.py"]).await;
}

#[tokio::test]
async fn zips_that_are_no_pex() {
    let serving = Serving::v1().await;
    for name in ["plain_zip", "no_pex_info", "info_not_json", "info_not_an_object"] {
        serving.refuses_hostile(name, &["PEX-INFO"]).await;
    }
    serving.refuses_hostile("missing_wheel", &["gone-1.0-py3-none-any.whl"]).await;
}

#[tokio::test]
async fn other_layouts_are_refused_by_name() {
    let serving = Serving::v1().await;
    serving.refuses_hostile("scie", &["scie"]).await;
    serving.refuses_hostile("packed", &["packed"]).await;
    let digest = "b".repeat(64);
    fs::create_dir(serving.0.store.file_of(&digest)).unwrap();
    let folder = Artifact { sha256: digest, location: String::new() };
    let failure = serving.refuses(FailureReason::BadArtifact, folder).await;
    assert!(failure.message.contains("loose") && failure.message.contains("packed"), "{failure:#?}");
}

#[tokio::test]
async fn entries_that_reach_outside() {
    let serving = Serving::v1().await;
    for (name, entry) in [
        ("zip_slip", "../../evil"),
        ("zip_slip_inside", "a/../../../evil"),
        ("absolute", "/tmp/evil"),
        ("backslash", "evil"),
        ("nul_in_name", "evil"),
        ("symlink", "evil"),
        ("device", "evil"),
    ] {
        serving.refuses_hostile(name, &[entry]).await;
    }
    assert!(!std::path::Path::new("/tmp/evil").exists());
}

#[tokio::test]
async fn entries_that_contradict_one_another() {
    let serving = Serving::v1().await;
    serving.refuses_hostile("duplicate", &["twice.py"]).await;
    serving.refuses_hostile("file_and_folder", &["both"]).await;
    serving.refuses_hostile("overlapping", &["overlap", ".bin"]).await;
}

#[tokio::test]
async fn bombs() {
    Serving::v1().await.refuses_hostile("bomb", &["inflates to", "limit"]).await;
}

#[tokio::test]
async fn pexes_for_another_python_or_platform() {
    let serving = Serving::v1().await;
    for (pex, told) in [
        ("foreign-python", "cp36"),
        ("foreign-platform", "macosx"),
        ("hostile/no_interpreter_fits", "2.5"),
        ("hostile/bad_constraint", "a snake"),
    ] {
        let bytes = fs::read(pexes::path(pex)).unwrap();
        let failure = serving.refuses(FailureReason::NoInterpreter, serving.0.store.offer_bytes(&bytes)).await;
        assert!(failure.message.contains(told), "what was looked for is named: {}", failure.message);
        assert!(failure.message.contains("/usr/bin/python3"), "what there is, is named: {}", failure.message);
    }
}

#[tokio::test]
async fn the_same_bad_artifact_is_refused_again_and_a_good_one_then_serves() {
    let serving = Serving::v1().await;
    for _ in 0..2 {
        serving.refuses_hostile("zip_slip", &["evil"]).await;
    }
    serving.0.control().deploy_ready("etl", serving.0.store.echo("v2")).await;
    assert_eq!(serving.0.echo("etl").marker().await.unwrap(), "v2:");
}

#[tokio::test]
async fn staged_artifacts_are_found_ready_by_the_deploy() {
    let supervisor = Supervisor::start().await;
    let spec = supervisor.store.echo("v1");
    let request = StageRequest { artifacts: spec.artifacts.clone(), interpreter: String::new() };
    let mut staged = supervisor.control().client().stage(request).await.unwrap().into_inner();
    let mut end = None;
    while let Some(event) = staged.message().await.unwrap() {
        end = event.event;
    }
    assert!(matches!(end, Some(Event::Ready(_))), "{end:?}");
    let installs = supervisor.state_dir().join("installs");
    eventually("byte code is made without a deploy", async || {
        let mut installs = fs::read_dir(&installs).unwrap();
        installs.any(|install| install.unwrap().path().join("sources/.compiled").exists()).then_some(())
    })
    .await;
    fs::remove_dir_all(supervisor.store.dir()).unwrap();
    supervisor.control().deploy_ready("etl", spec).await;
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
}

#[tokio::test]
async fn staging_a_bad_artifact_fails_with_its_reason() {
    let supervisor = Supervisor::start().await;
    let artifact = supervisor.store.offer_bytes(b"no pex");
    let request = StageRequest { artifacts: vec![artifact], interpreter: String::new() };
    let mut staged = supervisor.control().client().stage(request).await.unwrap().into_inner();
    let mut end = None;
    while let Some(event) = staged.message().await.unwrap() {
        end = event.event;
    }
    let Some(Event::Failed(failure)) = end else { panic!("expected FAILED: {end:?}") };
    assert_eq!(failure.reason(), FailureReason::BadArtifact, "{failure:#?}");
}
