//! A state dir has one supervisor: a second one says so, ends, and harms nothing.

use pexvisor_integration::{Supervisor, program::run};

#[tokio::test]
async fn the_second_supervisor_ends_and_says_why_and_the_first_serves_on() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let pid = supervisor.control().serving_pid("etl").await;
    let command = supervisor.command();
    let second = run(command.get_program(), command.get_args()).await;
    assert!(second.code.is_some_and(|code| code != 0), "{second:#?}");
    let said = format!("{}{}", second.stdout, second.stderr);
    let state_dir = supervisor.state_dir();
    assert!(said.contains(&*state_dir.to_string_lossy()) && said.contains("another"), "{said}");
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
    assert_eq!(supervisor.control().serving_pid("etl").await, pid, "the code server was left alone");
}

#[tokio::test]
async fn the_lock_goes_with_the_process() {
    let mut supervisor = Supervisor::start().await;
    supervisor.sigkill();
    supervisor.start_again().await;
    supervisor.control().list().await.unwrap();
}
