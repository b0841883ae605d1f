//! The probes answer plain HTTP on their own port: alive, ready, metrics.

use pexvisor_integration::{Supervisor, http::get};

#[tokio::test]
async fn livez_and_readyz_say_ok() {
    let supervisor = Supervisor::start().await;
    for path in ["/livez", "/readyz"] {
        let answer = get(&supervisor.probes, path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn readyz_does_not_depend_on_one_environment() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let failed = pexvisor_integration::request("etl", supervisor.store.fixture("exits_at_once"));
    control.deploy(failed).await.unwrap();
    assert_eq!(get(&supervisor.probes, "/readyz").await.status, 200);
}

#[tokio::test]
async fn the_metrics_count_deploys_and_calls() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    supervisor.echo("etl").marker().await.unwrap();
    let answer = get(&supervisor.probes, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("# TYPE pexvisor_"), "{}", answer.body);
    assert!(answer.body.contains("environment=\"etl\""), "{}", answer.body);
    assert!(answer.body.trim_end().ends_with("# EOF"), "{}", answer.body);
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let supervisor = Supervisor::start().await;
    assert_eq!(get(&supervisor.probes, "/nothing").await.status, 404);
}
