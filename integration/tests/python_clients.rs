//! Python's own gRPC clients, unmodified and without an authority option, on unix sockets and through the proxy.

use pexvisor_integration::{Supervisor, program::python};

#[tokio::test]
async fn the_control_socket_takes_a_python_client_by_reflection() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let address = format!("unix:{}", supervisor.control_socket().display());
    assert_eq!(python("list_environments.py", &[&address]).await.ok().trim(), "etl PHASE_SERVING");
}

#[tokio::test]
async fn an_environments_socket_takes_a_python_client() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let address = format!("unix:{}", supervisor.control().get("etl").await.unwrap().socket);
    assert_eq!(python("echo.py", &[&address]).await.ok().trim(), "v1: SERVING");
}

#[tokio::test]
async fn the_proxy_takes_a_python_client() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let told = python("echo.py", &[&supervisor.proxy, "x-pexvisor-environment=etl"]).await.ok();
    assert_eq!(told.trim(), "v1: SERVING");
}

#[tokio::test]
async fn a_code_server_is_told_apart_by_the_first_label_of_the_authority() {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let told = python("echo.py", &["--authority", "etl.code.svc:4266", &supervisor.proxy]).await.ok();
    assert_eq!(told.trim(), "v1: SERVING");
}
