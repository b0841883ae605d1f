//! SIGKILL of the supervisor at any instant loses nothing that was promised and leaves nothing behind.
//!
//! `PEXVISOR_KILLS=200` makes the long form.

use std::time::Duration;

use pexvisor_integration::{Supervisor, eventually, observe, pexes::with_env, request};
use pexvisor_proto::v1::{Phase, deploy_event::Event};

/// Kills of a test run; each is at another instant of a deploy.
const KILLS: u32 = 8;

#[tokio::test]
async fn what_served_serves_again_after_a_kill_and_the_old_processes_are_gone() {
    let mut supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    supervisor.control().deploy_ready("web", supervisor.store.fixture("forks_orphans")).await;
    let before = observe::processes_naming(&supervisor.state_dir().join("run"));
    let cgroups: Vec<_> = before.iter().flat_map(|process| observe::cgroups(process.pid)).collect();
    let ours = observe::cgroups(supervisor.pid());
    supervisor.sigkill();
    supervisor.start_again().await;
    for (name, marker) in [("etl", "v1:"), ("web", "forks_orphans:")] {
        let answer = eventually("it serves again", async || supervisor.echo(name).marker().await.ok()).await;
        assert_eq!(answer, marker);
        assert_eq!(supervisor.control().get(name).await.unwrap().serving_revision, 1);
    }
    let alive: Vec<_> = before.iter().filter(|process| observe::is_alive(process.pid)).collect();
    assert!(alive.is_empty(), "of the killed supervisor's: {alive:#?}");
    let left: Vec<_> = cgroups.iter().filter(|cgroup| !ours.contains(cgroup) && cgroup.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_kill_at_any_instant_of_a_deploy_keeps_what_was_promised() {
    let kills = std::env::var("PEXVISOR_KILLS").map_or(KILLS, |count| count.parse().expect("a number"));
    let mut supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", with_env("TINY_SALT", "0", supervisor.store.echo("v1"))).await;
    for kill in 1..=kills {
        kill_while_deploying(&mut supervisor, kill).await;
    }
}

/// One deploy, one kill somewhere in it, one start; whatever the client was promised holds.
async fn kill_while_deploying(supervisor: &mut Supervisor, kill: u32) {
    let before = supervisor.control().get("etl").await.expect("the environment").newest_revision;
    let spec = with_env("TINY_SALT", kill.to_string(), supervisor.store.echo(["v1", "v2", "v3"][kill as usize % 3]));
    let control = supervisor.control();
    let promised = tokio::spawn(async move { accepted(&control, spec).await });
    tokio::time::sleep(Duration::from_micros(instant(kill))).await;
    supervisor.sigkill();
    let accepted = promised.await.expect("the client does not panic");
    supervisor.start_again().await;
    let state = settled(supervisor).await;
    let expected = if accepted { before + 1 } else { state.newest_revision };
    assert_eq!(state.serving_revision, expected, "kill {kill}, accepted {accepted}: {state:#?}");
    assert!((before..=before + 1).contains(&state.serving_revision), "kill {kill}: {state:#?}");
    let salt = if state.serving_revision > before { kill } else { kill - 1 };
    let marker = supervisor.echo("etl").marker().await.expect("an answer");
    if accepted || marker.ends_with(&format!(":{kill}")) {
        assert!(marker.ends_with(&format!(":{salt}")), "kill {kill}: {marker}");
    }
    let garbage = observe::files_under(&supervisor.state_dir().join("tmp"));
    assert!(garbage.is_empty(), "kill {kill}: {garbage:?}");
    let pid = supervisor.control().serving_pid("etl").await;
    eventually("only the serving generation runs", async || {
        let alive = observe::processes_naming(&supervisor.state_dir().join("run"));
        (alive.iter().map(|process| Some(process.pid)).collect::<Vec<_>>() == [pid]).then_some(())
    })
    .await;
}

/// Deploys until the stream breaks; whether the deploy was accepted.
async fn accepted(control: &pexvisor_integration::Control, spec: pexvisor_proto::v1::RevisionSpec) -> bool {
    let Ok(mut stream) = control.deploy_stream(request("etl", spec)).await else { return false };
    let mut accepted = false;
    while let Ok(Some(event)) = stream.message().await {
        accepted |= matches!(event.event, Some(Event::Accepted(_)));
    }
    accepted
}

/// The state when nothing is on its way any more.
async fn settled(supervisor: &Supervisor) -> pexvisor_proto::v1::Environment {
    eventually("it serves and nothing is on its way", async || {
        let state = supervisor.control().get("etl").await.ok()?;
        (state.phase() == Phase::Serving && state.deploying_revision == 0).then_some(state)
    })
    .await
}

/// An instant within the first second of a deploy, in microseconds, spread evenly and the same in every run.
fn instant(kill: u32) -> u64 {
    u64::from(kill.wrapping_mul(2_654_435_769) >> 12)
}
