//! When a generation ends, nothing of it is left: no process, however it hid, no cgroup, no file, no zombie.

use pexvisor_integration::{Supervisor, eventually, observe};
use prost_types::Duration;

#[tokio::test]
async fn orphans_in_sessions_of_their_own_end_with_their_generation() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.fixture("forks_orphans")).await;
    let run = supervisor.state_dir().join("run");
    let before = observe::processes_naming(&run);
    assert_eq!(before.len(), 4, "the code server and three orphans: {before:#?}");
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    eventually("all of the old generation's processes end", async || {
        before.iter().all(|process| !observe::is_alive(process.pid)).then_some(())
    })
    .await;
    eventually("none of them is left as a zombie", async || {
        observe::zombies(supervisor.pid()).is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_code_server_deaf_to_sigterm_is_killed_in_time() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let mut spec = supervisor.store.fixture("ignores_sigterm");
    spec.terminate_timeout = Some(Duration { seconds: 1, nanos: 0 });
    control.deploy_ready("etl", spec).await;
    let pid = control.serving_pid("etl").await.unwrap();
    control.stop("etl").await.unwrap();
    assert!(!observe::is_alive(pid));
    assert!(control.log_text("etl", 0).await.unwrap().contains("ignores_sigterm: no"), "SIGTERM came first");
}

#[tokio::test]
async fn twenty_generations_leave_one_of_everything() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let files = || observe::files_but_byte_code(&supervisor.state_dir()).len();
    control.deploy_ready("etl", supervisor.store.echo("v2")).await;
    eventually("the first generation has ended", async || {
        (observe::processes_naming(&supervisor.state_dir().join("run")).len() == 1).then_some(())
    })
    .await;
    let before = files();
    for _ in 0..20 {
        control.restart("etl").await.unwrap().ready();
    }
    eventually("one generation is left", async || {
        (observe::processes_naming(&supervisor.state_dir().join("run")).len() == 1).then_some(())
    })
    .await;
    let pid = control.serving_pid("etl").await.unwrap();
    let ours = observe::cgroups(supervisor.pid());
    for cgroup in observe::cgroups(pid).into_iter().filter(|cgroup| !ours.contains(cgroup)) {
        let beside = std::fs::read_dir(cgroup.parent().unwrap()).unwrap().filter_map(Result::ok);
        let beside = beside.filter(|entry| entry.path().is_dir()).count();
        assert!(beside <= 3, "{beside} cgroups beside {}", cgroup.display());
    }
    eventually("files do not pile up", async || (files() <= before + 40).then_some(())).await;
    eventually("no zombie is left", async || observe::zombies(supervisor.pid()).is_empty().then_some(())).await;
}

#[tokio::test]
async fn sigterm_to_the_supervisor_ends_everything_and_the_next_start_serves_again() {
    let mut supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.fixture("forks_orphans")).await;
    assert_eq!(supervisor.sigterm(), Some(0));
    assert_eq!(supervisor.leftovers(), Vec::<String>::new());
    supervisor.start_again().await;
    let marker = eventually("it serves again", async || supervisor.echo("etl").marker().await.ok()).await;
    assert_eq!(marker, "forks_orphans:");
}
