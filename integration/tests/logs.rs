//! What code servers write is kept per generation, bounded, and can be followed.

use std::time::Duration;

use pexvisor_integration::{Supervisor, eventually, request};
use pexvisor_proto::v1::{LogLine, LogsRequest, log_line::Stream};
use tonic::Streaming;

/// Longest wait for one line.
const LINE_TIMEOUT: Duration = Duration::from_secs(30);

fn all_of(environment: &str) -> LogsRequest {
    LogsRequest { environment: environment.to_owned(), ..LogsRequest::default() }
}

/// The next line that contains `text`.
async fn line_with(text: &str, lines: &mut Streaming<LogLine>) -> LogLine {
    loop {
        let next = tokio::time::timeout(LINE_TIMEOUT, lines.message()).await.expect("a line in time");
        let line = next.expect("the stream goes on").expect("the stream does not end");
        if String::from_utf8_lossy(&line.line).contains(text) {
            return line;
        }
    }
}

#[tokio::test]
async fn lines_come_with_their_generation_stream_and_time() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    supervisor.echo("etl").call("Write", &b"one\ntwo\r\n\xff\n"[..]).await.unwrap();
    let mut lines = control.logs(LogsRequest { follow: true, ..all_of("etl") }).await.unwrap();
    let line = line_with("tiny v1 serves", &mut lines).await;
    assert_eq!((line.generation, line.stream(), line.lost), (1, Stream::Stdout, 0));
    assert!(line.time.is_some());
    assert_eq!(line_with("one", &mut lines).await.line, b"one", "without its line end");
}

#[tokio::test]
async fn the_tail_is_the_last_lines() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let text: String = (0..100).map(|number| format!("line {number}\n")).collect();
    supervisor.echo("etl").call("Write", text).await.unwrap();
    eventually("the lines have arrived", async || {
        control.log_text("etl", 0).await.unwrap().contains("line 99").then_some(())
    })
    .await;
    assert_eq!(control.log_text("etl", 3).await.unwrap(), "line 97\nline 98\nline 99\n");
}

#[tokio::test]
async fn following_goes_on_into_the_next_generation() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let mut lines = control.logs(LogsRequest { follow: true, ..all_of("etl") }).await.unwrap();
    line_with("tiny v1 serves", &mut lines).await;
    control.deploy_ready("etl", supervisor.store.echo("v2")).await;
    assert_eq!(line_with("tiny v2 serves", &mut lines).await.generation, 2);
}

#[tokio::test]
async fn dead_generations_keep_their_lines() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    control.deploy(request("etl", supervisor.store.fixture("exits_at_once"))).await.unwrap();
    let dead = LogsRequest { generation: 2, ..all_of("etl") };
    let mut lines = control.logs(dead).await.unwrap();
    let line = lines.message().await.unwrap().expect("the dead generation wrote a line");
    assert_eq!((line.generation, line.stream()), (2, Stream::Stderr));
    assert_eq!(line.line, b"exits_at_once: leaving with 3");
    control.stop("etl").await.unwrap();
    assert!(control.log_text("etl", 0).await.unwrap().contains("tiny v1 serves"), "of a stopped environment too");
}

#[tokio::test]
async fn a_generation_that_never_was_is_not_found() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let status = supervisor.control().logs(LogsRequest { generation: 99, ..all_of("etl") }).await.expect_err("refused");
    assert_eq!(status.code(), tonic::Code::NotFound, "{status:?}");
}

#[tokio::test]
async fn a_line_without_end_is_cut_and_a_partial_last_line_is_kept() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    supervisor.echo("etl").call("Write", "x".repeat(40 * 1024)).await.unwrap();
    supervisor.echo("etl").call("Write", "the end without a line end").await.unwrap();
    control.stop("etl").await.unwrap();
    let mut lines = control.logs(all_of("etl")).await.unwrap();
    let mut longest = 0;
    let mut text = String::new();
    while let Some(line) = lines.message().await.unwrap() {
        longest = longest.max(line.line.len());
        text += &String::from_utf8_lossy(&line.line);
    }
    assert!(longest <= 16 * 1024, "{longest}");
    assert!(text.contains(&"x".repeat(40 * 1024)), "no byte of it is lost");
    assert!(text.contains("the end without a line end"));
}

#[tokio::test]
async fn a_flood_is_bounded_told_and_hurts_no_neighbour() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("web", supervisor.store.echo("v1")).await;
    control.deploy_ready("etl", supervisor.store.fixture("floods_stdout")).await;
    eventually("lines are lost, and the next reader is told how many", async || {
        let mut lines = control.logs(all_of("etl")).await.ok()?;
        let first = lines.message().await.ok()??;
        (first.lost > 0).then_some(())
    })
    .await;
    assert_eq!(supervisor.echo("web").marker().await.unwrap(), "v1:");
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "floods_stdout:");
    control.stop("etl").await.unwrap();
}
