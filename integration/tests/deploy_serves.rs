//! A deploy of real pexes ends with a code server that answers through the proxy.

use std::time::Duration;

use pexvisor_integration::{Echo, Supervisor, eventually, observe, pexes, request};
use pexvisor_proto::v1::{
    DescribeRequest, GenerationPhase, Phase, Readiness, RevisionSpec, command::Kind, deploy_event::Event,
};
use serde_json::json;

#[tokio::test]
async fn a_deployed_module_answers_through_the_proxy() {
    let supervisor = Supervisor::start().await;
    let outcome = supervisor.control().deploy(request("etl", supervisor.store.echo("v1"))).await.unwrap();
    assert_eq!(outcome.ready(), 1, "revisions count from 1");
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
}

#[tokio::test]
async fn the_stream_tells_the_steps_in_order_and_where_the_time_went() {
    let supervisor = Supervisor::start().await;
    let outcome = supervisor.control().deploy(request("etl", supervisor.store.echo("v1"))).await.unwrap();
    let place = |wanted: fn(&Event) -> bool| outcome.events.iter().position(|e| e.event.as_ref().is_some_and(wanted));
    let fetched = place(|event| matches!(event, Event::Fetching(_))).expect("FETCHING");
    let installed = place(|event| matches!(event, Event::Installing(done) if done.done)).expect("INSTALLING done");
    let started = place(|event| matches!(event, Event::Starting(_))).expect("STARTING");
    assert!(fetched < installed && installed < started, "{:#?}", outcome.events);
    let Event::Ready(ready) = outcome.end() else { panic!("{outcome:#?}") };
    let timings = ready.timings.expect("READY has timings");
    assert!(timings.start_us > 0 && timings.total_us >= timings.start_us, "{timings:?}");
    assert!(outcome.events.iter().all(|event| event.environment == "etl" && event.time.is_some()));
}

#[tokio::test]
async fn a_second_deploy_of_the_same_pexes_finds_them_cached() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let outcome = control.deploy(request("etl", supervisor.store.echo("v1"))).await.unwrap();
    assert_eq!(outcome.ready(), 2);
    let uncached = outcome.events.iter().find(|event| match &event.event {
        Some(Event::Fetching(fetching)) => !fetching.cached,
        Some(Event::Installing(installing)) => !installing.cached,
        _ => false,
    });
    assert!(uncached.is_none(), "{uncached:?}");
}

#[tokio::test]
async fn the_state_tells_what_serves_and_the_kernel_agrees() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let spec = supervisor.store.echo("v1");
    control.deploy_ready("etl", spec.clone()).await;
    let state = control.get("etl").await.unwrap();
    assert_eq!((state.phase(), state.serving_revision, state.newest_revision), (Phase::Serving, 1, 1));
    assert_eq!((state.deploying_revision, state.image.as_str()), (0, "test-image"));
    assert_eq!(state.revision.as_ref().unwrap().artifacts, spec.artifacts);
    let generation = &state.generations[0];
    assert_eq!((generation.phase(), generation.revision), (GenerationPhase::Serving, 1));
    assert!(observe::is_alive(generation.pid));
    let facts = supervisor.echo("etl").facts().await.unwrap();
    assert_eq!(facts["pid"], generation.pid, "the first process is the code server itself");
    let (its, ours) = (observe::cgroups(generation.pid), observe::cgroups(supervisor.pid()));
    assert!(its.iter().any(|cgroup| !ours.contains(cgroup)), "it has a cgroup of its own: {its:?}");
    assert_eq!(control.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_environments_own_socket_needs_no_route() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let socket = supervisor.control().get("etl").await.unwrap().socket;
    assert_eq!(Echo::on(socket.as_ref()).marker().await.unwrap(), "v1:");
}

#[tokio::test]
async fn the_entry_point_of_a_pex_is_a_command() {
    let supervisor = Supervisor::start().await;
    let artifacts = vec![supervisor.store.offer("tiny-deps"), supervisor.store.offer("tiny-entry-point")];
    supervisor.control().deploy_ready("etl", pexes::spec(artifacts, Kind::EntryPoint(true))).await;
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "entry-point:");
}

#[tokio::test]
async fn a_console_script_of_a_dependency_is_a_command() {
    let supervisor = Supervisor::start().await;
    let artifacts = vec![supervisor.store.offer("dagster-deps"), supervisor.store.offer("dagster-v1")];
    let spec = pexes::spec(artifacts, Kind::ConsoleScript("dagster".to_owned()));
    let mut spec = with_args(spec, &["api", "grpc", "--socket", "$PEXVISOR_SOCKET", "--package-name", "my_etl"]);
    spec.readiness = Some(Readiness { health_service: "DagsterApi".to_owned(), start_timeout: None });
    supervisor.control().deploy_ready("etl", spec).await;
}

#[tokio::test]
async fn a_code_server_sees_its_own_variables_and_none_of_the_supervisors() {
    let mut supervisor = Supervisor::prepare(&[]);
    supervisor.variables.push(("SUPERVISOR_SECRET".to_owned(), "s3cret".to_owned()));
    supervisor.start_again().await;
    let spec = pexes::with_env("TINY_SALT", "salt", supervisor.store.echo("v1"));
    let spec = with_args(spec, &["--at", "$PEXVISOR_SOCKET"]);
    supervisor.control().deploy_ready("etl", spec).await;
    let facts = supervisor.echo("etl").facts().await.unwrap();
    let environ = facts["environ"].as_object().unwrap();
    assert_eq!(environ["TINY_SALT"], "salt");
    assert!(!environ.contains_key("SUPERVISOR_SECRET"), "{environ:#?}");
    for name in ["PATH", "HOME", "LANG", "TMPDIR", "PEXVISOR_SOCKET"] {
        assert!(environ.contains_key(name), "{name} is missing in {environ:#?}");
    }
    assert_eq!(facts["argv"].as_array().unwrap()[1..], [json!("--at"), environ["PEXVISOR_SOCKET"].clone()]);
}

#[tokio::test]
async fn a_code_server_inherits_no_file_of_the_supervisor() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let facts = supervisor.echo("etl").facts().await.unwrap();
    let state = supervisor.state_dir().to_string_lossy().into_owned();
    let foreign: Vec<_> =
        facts["fds"].as_object().unwrap().values().filter(|to| to.as_str().unwrap().starts_with(&state)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[tokio::test]
async fn describe_tells_what_the_supervisor_is_and_has() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let told = supervisor.control().client().describe(DescribeRequest {}).await.unwrap().into_inner();
    assert!(!told.version.is_empty() && told.image == "test-image");
    assert!(told.store.starts_with("file://"), "{}", told.store);
    assert_eq!(told.proxy_address, supervisor.proxy);
    assert!(told.interpreters.iter().any(|interpreter| interpreter.path.starts_with("/usr/bin/python3")), "{told:#?}");
    assert!(!told.enforcement.is_empty() && told.capacity.unwrap().memory_bytes > 0);
    assert!(told.cache.unwrap().artifacts >= 2, "{:?}", told.cache);
}

#[tokio::test]
async fn a_dropped_stream_does_not_cancel_the_deploy() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    drop(control.deploy_stream(request("etl", supervisor.store.echo("v1"))).await.unwrap());
    eventually("the deploy goes on by itself", async || {
        (control.get("etl").await.ok()?.phase() == Phase::Serving).then_some(())
    })
    .await;
    tokio::time::timeout(Duration::from_secs(30), supervisor.echo("etl").marker()).await.unwrap().unwrap();
}

fn with_args(mut spec: RevisionSpec, args: &[&str]) -> RevisionSpec {
    spec.command.as_mut().expect("a command").args = args.iter().map(ToString::to_string).collect();
    spec
}
