//! The image: what runs in it, and which bases it refuses.

use pexvisor_integration::{eventually, pexes::checkout};

use crate::docker::{Cgroups, Container, docker};

/// No glibc in it, as on Alpine.
const MUSL_IMAGE: &str = "pexvisor-test-musl";

#[tokio::test]
async fn a_base_without_glibc_is_refused_with_the_reason_while_the_image_is_built() {
    let context = checkout().join("target/portable");
    let dockerfile = checkout().join("deploy/Dockerfile");
    let (context, dockerfile) = (context.to_string_lossy(), dockerfile.to_string_lossy());
    let base = format!("BASE_IMAGE={MUSL_IMAGE}");
    let ran = docker(["build", "--file", &dockerfile, "--build-arg", &base, "--no-cache", &context]).await;
    assert_ne!(ran.code, Some(0));
    assert!(ran.stdout.contains("this is a musl image"), "{}\n{}", ran.stdout, ran.stderr);
}

#[tokio::test]
async fn an_operators_pexctl_in_the_container_needs_no_flags() {
    let container = Container::start(Cgroups::ReadOnly).await;
    container.control().deploy_ready("etl", container.store.echo("v1")).await;
    let listed = container.exec(&["pexctl", "list"]).await.ok();
    assert!(listed.contains("etl"), "{listed}");
}

#[tokio::test]
async fn docker_finds_the_container_healthy() {
    let container = Container::start_with(Cgroups::ReadOnly, &["--health-interval=1s"]).await;
    eventually("the health check passes", async || {
        (container.inspect("{{.State.Health.Status}}").await == "healthy").then_some(())
    })
    .await;
}
