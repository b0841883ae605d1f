//! The death of the container: what was promised is served again, by the next one too.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pexvisor_integration::{eventually, observe};

use crate::docker::{Cgroups, Container};

#[tokio::test]
async fn sigkill_of_pexvisor_ends_the_container_and_its_restart_serves_the_same() {
    for cgroups in [Cgroups::ReadOnly, Cgroups::Writable] {
        let container = Container::start_with(cgroups, &["--restart=on-failure"]).await;
        container.control().deploy_ready("etl", container.store.echo("v1")).await;
        container.control().deploy_ready("etl", container.store.echo("v2")).await;
        let pid_1 = container.pid_1().await;
        let processes = observe::descendants(pid_1);
        kill(Pid::from_raw(pid_1), Signal::SIGKILL).unwrap();
        eventually("all its processes end", async || {
            processes.iter().all(|&pid| !observe::is_alive(pid)).then_some(())
        })
        .await;
        let marker =
            eventually("the restarted container serves", async || container.echo("etl").marker().await.ok()).await;
        assert_eq!(marker, "v2:", "{cgroups:?}");
        assert_ne!(container.pid_1().await, pid_1);
    }
}

#[tokio::test]
async fn a_container_that_was_stopped_serves_again_without_the_store() {
    let container = Container::start(Cgroups::ReadOnly).await;
    container.control().deploy_ready("etl", container.store.echo("v1")).await;
    container.docker(&["stop", "--time=60"]).await.ok();
    for artifact in observe::files_under(container.store.dir()) {
        std::fs::remove_file(artifact).unwrap();
    }
    container.docker(&["start"]).await.ok();
    container.takes_calls().await;
    let marker = eventually("it serves", async || container.echo("etl").marker().await.ok()).await;
    assert_eq!(marker, "v1:");
}
