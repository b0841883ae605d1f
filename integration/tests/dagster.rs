//! A real Dagster project behind the proxy, asked by Dagster's own client.

use pexvisor_integration::{Load, Supervisor, pexes::spec, program::python};
use pexvisor_proto::v1::{DagsterProfile, RevisionSpec, command::Kind};

fn project(supervisor: &Supervisor, version: &str) -> RevisionSpec {
    let source = format!("dagster-{version}");
    let profile = DagsterProfile { package_name: "my_etl".to_owned(), ..DagsterProfile::default() };
    spec(vec![supervisor.store.offer("dagster-deps"), supervisor.store.offer(&source)], Kind::Dagster(profile))
}

#[tokio::test]
async fn the_dagster_client_lists_the_repository_of_the_version_deployed_last() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    for version in ["v1", "v2"] {
        control.deploy_ready("etl", project(&supervisor, version)).await;
        let told = python("dagster_repositories.py", &[&supervisor.proxy, "x-pexvisor-environment=etl"]).await.ok();
        assert_eq!(told.trim(), format!("orders_{version}: clean_orders nightly raw_orders"));
    }
}

#[tokio::test]
async fn the_dagster_client_takes_the_environments_own_socket() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", project(&supervisor, "v1")).await;
    let socket = supervisor.control().get("etl").await.unwrap().socket;
    let told = python("dagster_repositories.py", &[&socket]).await.ok();
    assert_eq!(told.trim(), "orders_v1: clean_orders nightly raw_orders");
}

#[tokio::test]
async fn two_languages_of_environment_live_side_by_side() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("web", supervisor.store.echo("v1")).await;
    let load = Load::start([supervisor.echo("web")]);
    control.deploy_ready("etl", project(&supervisor, "v1")).await;
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
}
