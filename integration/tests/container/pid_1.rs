//! What the first process of a container owes the others: it reaps them.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pexvisor_integration::{eventually, observe};

use crate::docker::{Cgroups, Container};

#[tokio::test]
async fn pexvisor_itself_is_pid_1() {
    for cgroups in [Cgroups::ReadOnly, Cgroups::Writable] {
        let container = Container::start(cgroups).await;
        let pid = container.pid_1().await;
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        assert_eq!(program.file_name().unwrap(), "pexvisor", "{cgroups:?}");
    }
}

#[tokio::test]
async fn orphans_of_a_code_server_end_with_their_generation_and_are_reaped() {
    for cgroups in [Cgroups::ReadOnly, Cgroups::Writable] {
        let container = Container::start(cgroups).await;
        let control = container.control();
        control.deploy_ready("etl", container.store.fixture("forks_orphans")).await;
        let pid_1 = container.pid_1().await;
        let before = observe::children(pid_1);
        assert!(before.len() >= 4, "the code server, and three orphans that PID 1 inherited: {before:?}");
        control.deploy_ready("etl", container.store.echo("v2")).await;
        eventually("the first generation is gone, zombies and all", async || {
            let left = observe::descendants(pid_1);
            before.iter().all(|pid| !left.contains(pid)).then_some(())
        })
        .await;
        assert_eq!(container.echo("etl").marker().await.unwrap(), "v2:", "{cgroups:?}");
    }
}

#[tokio::test]
async fn an_orphan_that_is_nobodys_is_reaped() {
    let container = Container::start(Cgroups::ReadOnly).await;
    // The shell ends at once; its child is handed to PID 1.
    let orphan = container.exec(&["sh", "-c", "exec sleep 600 >/dev/null 2>&1 & echo $!"]).await.ok();
    let orphan = container.outer_pid(orphan.trim().parse().unwrap()).await;
    assert!(observe::children(container.pid_1().await).contains(&orphan), "PID 1 inherited it");
    kill(Pid::from_raw(orphan), Signal::SIGKILL).unwrap();
    eventually("it is reaped", async || (!observe::pids().contains(&orphan)).then_some(())).await;
}

#[tokio::test]
async fn a_code_server_killed_from_outside_is_started_again() {
    let container = Container::start(Cgroups::ReadOnly).await;
    let control = container.control();
    control.deploy_ready("etl", container.store.echo("v1")).await;
    container.kill_code_server("etl").await;
    let state = eventually("the kill is noticed and a new generation serves", async || {
        let state = control.get("etl").await.ok()?;
        (state.restarts == 1 && control.serving_pid("etl").await.is_some()).then_some(state)
    })
    .await;
    let exit = state.last_failure.and_then(|failure| failure.exit).expect("the end is told");
    assert_eq!(exit.how, Some(pexvisor_proto::v1::exit::How::Signal(9)));
    assert_eq!(container.echo("etl").marker().await.unwrap(), "v1:");
}
