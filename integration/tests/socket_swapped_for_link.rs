//! A code server that puts a link to the control socket in place of its own does not make pexvisor its deputy.

use pexvisor_integration::{Supervisor, pexes::with_env};

#[tokio::test]
async fn a_link_put_in_place_while_serving_leads_nobody_to_the_control_socket() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("web", supervisor.store.echo("v1")).await;
    let target = supervisor.control_socket().to_string_lossy().into_owned();
    control.deploy_ready("etl", with_env("SWAP_TARGET", target, supervisor.store.fixture("swaps_socket"))).await;
    assert_eq!(supervisor.echo("etl").call("Swap", "").await.unwrap(), "swapped");
    let listing = "/pexvisor.v1.Supervisor/List";
    // Each on a connection of its own, so that pexvisor must open one to the code server's socket.
    for _ in 0..5 {
        let answer = async { supervisor.echo("etl").raw_stream(listing, "").await?.message().await };
        let status = answer.await.expect_err("the control API is not to be had through the proxy");
        assert_ne!(status.code(), tonic::Code::Ok, "{status:?}");
        let marker = supervisor.echo("etl").marker().await;
        assert!(marker.as_ref().map_or(true, |marker| marker == "swaps_socket:"), "{marker:?}");
    }
    assert_eq!(supervisor.echo("web").marker().await.unwrap(), "v1:", "its neighbour serves on");
    control.deploy_ready("etl", supervisor.store.echo("v2")).await;
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v2:", "the next deploy mends it");
}
