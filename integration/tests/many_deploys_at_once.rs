//! Many deploys at once, to one environment and to many: the newest wins, and those it passed are told.

use pexvisor_integration::{Supervisor, pexes::with_env, request};
use pexvisor_proto::v1::deploy_event::Event;

/// Deploys sent at the same time.
const DEPLOYS: usize = 8;

#[tokio::test]
async fn the_newest_of_many_deploys_to_one_environment_serves_and_the_others_are_told() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let deploys: Vec<_> = (0..DEPLOYS)
        .map(|number| {
            let control = control.clone();
            let spec = with_env("TINY_SALT", number.to_string(), supervisor.store.echo(["v1", "v2", "v3"][number % 3]));
            tokio::spawn(async move { (number, control.deploy(request("etl", spec)).await.expect("it is accepted")) })
        })
        .collect();
    let mut newest = (0, String::new());
    for deploy in deploys {
        let (number, outcome) = deploy.await.unwrap();
        match outcome.end() {
            Event::Ready(_) if outcome.revision() > newest.0 => {
                newest = (outcome.revision(), format!("{}:{number}", ["v1", "v2", "v3"][number % 3]));
            }
            Event::Ready(_) => {}
            Event::Superseded(superseded) => assert!(superseded.by_revision > outcome.revision()),
            end => panic!("{end:?}"),
        }
    }
    assert_eq!(newest.0, DEPLOYS as u64, "the newest revision became ready");
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), newest.1);
    let state = control.get("etl").await.unwrap();
    assert_eq!((state.serving_revision, state.deploying_revision), (DEPLOYS as u64, 0));
}

#[tokio::test]
async fn a_deploy_that_is_overtaken_while_it_starts_is_told_by_whom() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let mut overtaken = control.deploy_stream(request("etl", supervisor.store.fixture("never_ready"))).await.unwrap();
    while let Some(event) = overtaken.message().await.unwrap() {
        if matches!(event.event, Some(Event::Starting(_))) {
            break;
        }
    }
    control.deploy_ready("etl", supervisor.store.echo("v2")).await;
    let mut end = None;
    while let Some(event) = overtaken.message().await.unwrap() {
        end = event.event;
    }
    let Some(Event::Superseded(superseded)) = end else { panic!("expected SUPERSEDED: {end:?}") };
    assert_eq!(superseded.by_revision, 3);
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v2:");
}

#[tokio::test]
async fn many_environments_deploy_at_once() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let names: Vec<String> = (0..DEPLOYS).map(|number| format!("etl-{number}")).collect();
    let deploys: Vec<_> = names
        .iter()
        .map(|name| {
            let (control, name) = (control.clone(), name.clone());
            let spec = with_env("TINY_SALT", name.clone(), supervisor.store.echo("v1"));
            tokio::spawn(async move { control.deploy_ready(&name, spec).await })
        })
        .collect();
    for deploy in deploys {
        deploy.await.unwrap();
    }
    for name in &names {
        assert_eq!(supervisor.echo(name).marker().await.unwrap(), format!("v1:{name}"));
    }
    let listed: Vec<String> = control.list().await.unwrap().into_iter().map(|environment| environment.name).collect();
    assert_eq!(listed, names, "ordered by name");
}
