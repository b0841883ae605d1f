//! deploy/compose.yaml as a user runs it, by the `docker-compose` of Debian; its ports must be free.

use pexvisor_integration::{
    eventually, http,
    pexes::checkout,
    program::{self, Ran},
};
use tempfile::TempDir;

use crate::docker::IMAGE;

/// Its containers, network and volume, removed when dropped.
struct Compose {
    artifacts: TempDir,
}

impl Compose {
    fn words(&self, args: &[&str]) -> Vec<String> {
        let file = checkout().join("deploy/compose.yaml").display().to_string();
        let artifacts = format!("PEXVISOR_ARTIFACTS={}", self.artifacts.path().display());
        let image = format!("PEXVISOR_IMAGE={IMAGE}");
        let program = [&artifacts, &image, "docker-compose", "--project-name=pexvisor-test", "--file", &file];
        program.into_iter().chain(args.iter().copied()).map(str::to_owned).collect()
    }

    async fn run(&self, args: &[&str]) -> Ran {
        program::run("env", self.words(args)).await
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        let down = std::process::Command::new("env").args(self.words(&["down", "--volumes"])).spawn();
        let ended = down.and_then(std::process::Child::wait_with_output);
        assert!(std::thread::panicking() || ended.is_ok_and(|output| output.status.success()), "compose down failed");
    }
}

#[tokio::test]
async fn the_compose_file_starts_one_that_an_operator_can_use_and_that_stops_clean() {
    let compose = Compose { artifacts: tempfile::tempdir().expect("a folder for artifacts") };
    compose.run(&["up", "--detach"]).await.ok();
    let described = eventually("the supervisor takes calls", async || {
        let ran = compose.run(&["exec", "-T", "pexvisor", "pexctl", "--json", "describe"]).await;
        (ran.code == Some(0)).then_some(ran.stdout)
    })
    .await;
    assert!(described.contains("file:///artifacts"), "{described}");

    let ready = http::get("127.0.0.1:4267", "/readyz").await;
    assert_eq!(ready.status, 200, "{ready:?}");
    compose.run(&["stop"]).await.ok();
    let container = compose.run(&["ps", "--quiet"]).await.ok();
    let code = program::run("docker", ["inspect", "--format", "{{.State.ExitCode}}", container.trim()]).await.ok();
    assert_eq!(code.trim(), "0", "SIGTERM is its stop signal, and enough");
}
