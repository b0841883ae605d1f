//! Stop ends every process and stays; Remove leaves nothing.

use pexvisor_integration::{Supervisor, eventually, observe, request};
use pexvisor_proto::v1::{FailureReason, Phase, deploy_event::Event};
use tonic::Code;

#[tokio::test]
async fn a_stopped_environment_has_no_process_and_stays_stopped_across_a_restart_of_the_supervisor() {
    let mut supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let pid = control.serving_pid("etl").await.unwrap();
    let cgroups = observe::cgroups(pid);
    let stopped = control.stop("etl").await.unwrap();
    assert_eq!(stopped.phase(), Phase::Stopped);
    assert!(!observe::is_alive(pid), "Stop returns when no process is left");
    let ours = observe::cgroups(supervisor.pid());
    let left: Vec<_> = cgroups.iter().filter(|cgroup| !ours.contains(cgroup) && cgroup.exists()).collect();
    assert!(left.is_empty(), "no cgroup is left: {left:?}");
    let refusal = supervisor.echo("etl").marker().await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition, "{refusal:?}");
    assert!(refusal.message().contains("stopped"), "{}", refusal.message());
    supervisor.sigkill();
    supervisor.start_again().await;
    assert_eq!(supervisor.control().get("etl").await.unwrap().phase(), Phase::Stopped);
    assert_eq!(observe::processes_naming(&supervisor.state_dir().join("run")), []);
}

#[tokio::test]
async fn stop_can_be_said_twice() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    control.stop("etl").await.unwrap();
    assert_eq!(control.stop("etl").await.unwrap().phase(), Phase::Stopped);
}

#[tokio::test]
async fn a_stopped_environment_serves_again_after_restart_rollback_or_deploy() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    control.deploy_ready("etl", supervisor.store.echo("v2")).await;
    control.stop("etl").await.unwrap();
    control.restart("etl").await.unwrap().ready();
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v2:");
    control.stop("etl").await.unwrap();
    control.rollback("etl", 1).await.unwrap().ready();
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
    control.stop("etl").await.unwrap();
    control.deploy_ready("etl", supervisor.store.echo("v3")).await;
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v3:");
}

#[tokio::test]
async fn a_stop_ends_a_deploy_that_is_on_its_way() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let mut stream = control.deploy_stream(request("etl", supervisor.store.fixture("never_ready"))).await.unwrap();
    while let Some(event) = stream.message().await.unwrap() {
        if matches!(event.event, Some(Event::Starting(_))) {
            break;
        }
    }
    control.stop("etl").await.unwrap();
    let mut end = None;
    while let Some(event) = stream.message().await.unwrap() {
        end = event.event;
    }
    let Some(Event::Failed(failed)) = end else { panic!("expected FAILED: {end:?}") };
    assert_eq!(failed.failure.unwrap().reason(), FailureReason::Stopped);
    assert_eq!(observe::processes_naming(&supervisor.state_dir().join("run")), []);
}

#[tokio::test]
async fn a_removed_environment_is_forgotten_and_its_name_is_free() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    control.deploy_ready("web", supervisor.store.echo("v2")).await;
    let socket = control.get("etl").await.unwrap().socket;
    control.remove("etl").await.unwrap();
    assert_eq!(control.get("etl").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(supervisor.echo("etl").marker().await.unwrap_err().code(), Code::NotFound);
    eventually("its socket is gone", async || (!std::path::Path::new(&socket).exists()).then_some(())).await;
    assert!(!supervisor.state_dir().join("environments/etl.json").exists());
    assert_eq!(supervisor.echo("web").marker().await.unwrap(), "v2:", "its neighbour serves on");
    assert_eq!(control.deploy_ready("etl", supervisor.store.echo("v3")).await, 1, "a new one of that name starts anew");
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v3:");
}

#[tokio::test]
async fn a_stop_or_remove_that_a_restart_would_undo_is_told_as_failed_and_can_be_repeated() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let record = supervisor.state_dir().join("environments/etl.json");
    // A directory where the next record would be written.
    let in_the_way = record.with_extension("json.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let status = control.stop("etl").await.expect_err("it is not durable");
    assert_eq!(status.code(), Code::Internal, "{status:?}");
    assert!(status.message().contains("would come back") && status.message().contains("ask again"), "{status:?}");
    assert_eq!(control.get("etl").await.unwrap().phase(), Phase::Stopped, "it is stopped all the same");
    std::fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(control.stop("etl").await.unwrap().phase(), Phase::Stopped);
    // A directory in place of the record, which can be neither replaced nor removed.
    std::fs::remove_file(&record).unwrap();
    std::fs::create_dir(&record).unwrap();
    let status = control.remove("etl").await.expect_err("it is not durable");
    assert_eq!(status.code(), Code::Internal, "{status:?}");
    assert!(control.get("etl").await.is_ok(), "it is not forgotten");
    std::fs::remove_dir(&record).unwrap();
    control.remove("etl").await.unwrap();
    assert_eq!(control.get("etl").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_stop_that_a_deploy_overtakes_is_told_so() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.fixture("ignores_sigterm")).await;
    let stop = tokio::spawn({
        let control = control.clone();
        async move { control.stop("etl").await }
    });
    eventually("it is stopping", async || {
        control.get("etl").await.ok().filter(|state| state.phase() == Phase::Stopping)
    })
    .await;
    control.deploy_ready("etl", supervisor.store.echo("v2")).await;
    let status = stop.await.unwrap().expect_err("it runs again");
    assert_eq!(status.code(), Code::Aborted, "{status:?}");
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v2:");
}

#[tokio::test]
async fn a_remove_that_the_end_of_the_supervisor_cuts_off_goes_on_at_its_next_start() {
    let mut supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let mut spec = supervisor.store.fixture("ignores_sigterm");
    spec.terminate_timeout = Some(prost_types::Duration { seconds: 3, nanos: 0 });
    control.deploy_ready("etl", spec).await;
    let remove = tokio::spawn({
        let control = control.clone();
        async move { control.remove("etl").await }
    });
    eventually("it is stopping", async || {
        control.get("etl").await.ok().filter(|state| state.phase() == Phase::Stopping)
    })
    .await;
    assert_eq!(supervisor.sigterm(), Some(0));
    let status = remove.await.unwrap().expect_err("it was cut off");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    supervisor.start_again().await;
    eventually("it is gone", async || supervisor.control().list().await.ok().filter(Vec::is_empty)).await;
    assert!(!supervisor.state_dir().join("environments/etl.json").exists());
}
