//! A rollback deploys what an earlier revision was, from what is on disk.

use pexvisor_integration::{Supervisor, pexes::with_env};
use tonic::Code;

#[tokio::test]
async fn a_rollback_needs_no_store() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", with_env("TINY_SALT", "first", supervisor.store.echo("v1"))).await;
    control.deploy_ready("etl", supervisor.store.echo("v2")).await;
    assert_eq!(control.get("etl").await.unwrap().previous_revision, 1);
    std::fs::remove_dir_all(supervisor.store.dir()).unwrap();
    let outcome = control.rollback("etl", 0).await.unwrap();
    assert_eq!(outcome.ready(), 3, "a rollback is a new revision");
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:first", "variables come back too");
    let state = control.get("etl").await.unwrap();
    assert_eq!((state.serving_revision, state.previous_revision), (3, 2));
}

#[tokio::test]
async fn a_rollback_goes_to_the_revision_named() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    for version in ["v1", "v2", "v3"] {
        control.deploy_ready("etl", supervisor.store.echo(version)).await;
    }
    control.rollback("etl", 1).await.unwrap().ready();
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
}

#[tokio::test]
async fn a_rollback_to_nothing_is_refused_and_the_present_serves_on() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let nothing = control.rollback("etl", 0).await.unwrap_err();
    assert_eq!(nothing.code(), Code::FailedPrecondition, "{nothing:?}");
    let unknown = control.rollback("etl", 99).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "{unknown:?}");
    assert!(unknown.message().contains("99"), "{}", unknown.message());
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
}
