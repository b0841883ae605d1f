//! What code servers write reaches the supervisor's own log, labelled, and holds nothing up.

use std::io::{PipeWriter, Write as _, pipe};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use pexvisor_integration::{Supervisor, eventually, http};

/// Lines of a quiet environment beside one that floods.
const QUIET_LINES: usize = 200;

/// The lines of the log that hold all of these.
fn lines(supervisor: &Supervisor, parts: &[&str]) -> Vec<String> {
    let log = supervisor.log();
    log.lines().filter(|line| parts.iter().all(|part| line.contains(part))).map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn each_line_comes_with_its_environment_generation_and_stream() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    supervisor.echo("etl").call("Write", "one\ntwo\n").await.unwrap();
    eventually("the lines are in the log", async || {
        let of_etl = ["pexvisor::output", "environment=etl", "generation=1", "stream=\"stdout\""];
        let found = |text| lines(&supervisor, &[&of_etl[..], &[text]].concat()).len() == 1;
        (found(" one ") && found(" two ")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_flood_is_cut_told_and_takes_no_line_from_others() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("web", supervisor.store.echo("v1")).await;
    control.deploy_ready("etl", supervisor.store.fixture("floods_stdout")).await;
    for number in 0..QUIET_LINES {
        supervisor.echo("web").call("Write", format!("quiet {number}\n")).await.unwrap();
    }
    eventually("the flood is told of", async || {
        (!lines(&supervisor, &["environment=etl", "lost="]).is_empty()).then_some(())
    })
    .await;
    eventually("the quiet lines are all there", async || {
        (lines(&supervisor, &["environment=web", " quiet "]).len() == QUIET_LINES).then_some(())
    })
    .await;
    let metrics = http::get(&supervisor.probes, "/metrics").await.body;
    assert!(metrics.contains("limit=\"logged_lines_per_second_max\""), "{metrics}");
    control.stop("etl").await.unwrap();
    assert!(!lines(&supervisor, &["Stopping => Stopped", "environment=etl"]).is_empty(), "our own lines are there");
}

/// Fills a pipe, so that the next byte would have to wait.
fn fill(pipe: &mut PipeWriter) {
    fcntl(&*pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a pipe of ours");
    while pipe.write(&[b'x'; 1024]).is_ok() {}
    while pipe.write(b"x").is_ok() {}
    fcntl(&*pipe, FcntlArg::F_SETFL(OFlag::empty())).expect("a pipe of ours");
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() {
    let mut supervisor = Supervisor::prepare(&[]);
    let (_unread, mut full) = pipe().expect("a pipe");
    fill(&mut full);
    let mut command = supervisor.command();
    command.stdout(full.try_clone().expect("a descriptor")).stderr(full).env("PEXVISOR_LOG", "debug");
    supervisor.start_as(command).await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.fixture("floods_stdout")).await;
    control.deploy_ready("web", supervisor.store.echo("v1")).await;
    assert_eq!(supervisor.echo("web").marker().await.unwrap(), "v1:");
    let _ = supervisor.echo("web").call("Die", "7").await;
    eventually("it serves again", async || supervisor.echo("web").marker().await.ok()).await;
    control.stop("etl").await.unwrap();
    assert_eq!(supervisor.sigterm(), Some(0));
}

#[tokio::test]
async fn nor_does_one_that_was_closed() {
    let mut supervisor = Supervisor::prepare(&[]);
    let (unread, closed) = pipe().expect("a pipe");
    drop(unread);
    let mut command = supervisor.command();
    command.stdout(closed.try_clone().expect("a descriptor")).stderr(closed);
    supervisor.start_as(command).await;
    supervisor.control().deploy_ready("web", supervisor.store.echo("v1")).await;
    assert_eq!(supervisor.echo("web").marker().await.unwrap(), "v1:");
    assert_eq!(supervisor.sigterm(), Some(0));
}
