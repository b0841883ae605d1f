//! The real grpcurl, unmodified, without proto files and without an authority option, as an operator would use it.

use pexvisor_integration::{
    Supervisor,
    program::{Ran, run, tool},
};
use serde_json::{Value, json};

async fn grpcurl(supervisor: &Supervisor, args: &[&str]) -> Ran {
    let socket = supervisor.control_socket().to_string_lossy().into_owned();
    let (before, method) = args.split_at(args.len() - 1);
    run(tool("tools/grpcurl"), [&["-plaintext", "-unix"], before, &[socket.as_str()], method].concat()).await
}

fn deploy_request(supervisor: &Supervisor, version: &str) -> String {
    let spec = supervisor.store.echo(version);
    let artifacts: Vec<Value> = spec.artifacts.iter().map(|artifact| json!({"sha256": artifact.sha256})).collect();
    json!({"environment": "etl", "revision": {"artifacts": artifacts, "command": {"module": "tiny_server"}}})
        .to_string()
}

#[tokio::test]
async fn an_operators_session_needs_no_proto_files() {
    let supervisor = Supervisor::start().await;
    let services = grpcurl(&supervisor, &["list"]).await.ok();
    for service in ["pexvisor.v1.Supervisor", "grpc.health.v1.Health"] {
        assert!(services.contains(service), "{services}");
    }
    let health = grpcurl(&supervisor, &["grpc.health.v1.Health/Check"]).await.ok();
    assert!(health.contains("SERVING"), "{health}");
    let request = deploy_request(&supervisor, "v1");
    let deployed = grpcurl(&supervisor, &["-d", &request, "pexvisor.v1.Supervisor/Deploy"]).await.ok();
    assert!(deployed.contains("\"accepted\"") && deployed.contains("\"ready\""), "{deployed}");
    let listed = grpcurl(&supervisor, &["pexvisor.v1.Supervisor/List"]).await.ok();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["environments"][0]["phase"], "PHASE_SERVING");
    let health = grpcurl(&supervisor, &["-d", r#"{"service": "etl"}"#, "grpc.health.v1.Health/Check"]).await.ok();
    assert!(health.contains("SERVING"), "{health}");
    let logs = grpcurl(&supervisor, &["-d", r#"{"environment": "etl"}"#, "pexvisor.v1.Supervisor/Logs"]).await.ok();
    assert!(logs.contains("STREAM_STDOUT"), "{logs}");
    grpcurl(&supervisor, &["-d", r#"{"environment": "etl"}"#, "pexvisor.v1.Supervisor/Stop"]).await.ok();
}

#[tokio::test]
async fn a_refusal_reaches_the_operator_with_its_message() {
    let supervisor = Supervisor::start().await;
    let ran = grpcurl(&supervisor, &["-d", r#"{"environment": "nobody"}"#, "pexvisor.v1.Supervisor/Get"]).await;
    assert_ne!(ran.code, Some(0));
    assert!(ran.stderr.contains("NotFound") && ran.stderr.contains("nobody"), "{ran:#?}");
}

#[tokio::test]
async fn an_environments_own_socket_takes_grpcurl_as_it_is() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let socket = supervisor.control().get("etl").await.unwrap().socket;
    let proto = pexvisor_integration::pexes::checkout().join("integration/fixtures/health.proto");
    let (dir, file) = (proto.parent().unwrap().to_string_lossy().into_owned(), "health.proto");
    let args = ["-plaintext", "-unix", "-import-path", &dir, "-proto", file, &socket, "grpc.health.v1.Health/Check"];
    let health = run(tool("tools/grpcurl"), args).await.ok();
    assert!(health.contains("SERVING"), "{health}");
}
