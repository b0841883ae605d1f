//! Limits: kept by the kernel where the container may write its cgroups, and honestly refused where not.

use pexvisor_integration::{Load, eventually, observe};
use pexvisor_proto::v1::{DescribeRequest, Enforcement, Limits};

use crate::docker::{Cgroups, Container};

const MIB: u64 = 1 << 20;
/// Enough for the echo server, and soon eaten up.
const MEMORY_BYTES_MAX: u64 = 128 * MIB;

async fn enforcement(container: &Container) -> Vec<Enforcement> {
    let mut client = container.control().client();
    client.describe(DescribeRequest {}).await.expect("describe").into_inner().enforcement
}

#[tokio::test]
async fn read_only_cgroups_are_told_of_with_the_reason_for_each_resource() {
    let container = Container::start(Cgroups::ReadOnly).await;
    let told = enforcement(&container).await;
    assert!(!told.is_empty());
    for resource in told {
        assert_eq!(resource.tier, "none", "{resource:?}");
        assert!(!resource.reason.is_empty(), "{resource:?}");
    }
}

#[tokio::test]
async fn a_memory_hog_is_killed_in_its_own_cgroup_and_its_neighbour_serves_on() {
    let container = Container::start(Cgroups::Writable).await;
    let control = container.control();
    let memory = enforcement(&container).await.into_iter().find(|e| e.resource == "memory").unwrap();
    assert_eq!(memory.tier, "kernel-v1", "{memory:?}");

    let mut hog = container.store.fixture("eats_memory");
    hog.limits = Some(Limits { memory_bytes_max: MEMORY_BYTES_MAX, ..Limits::default() });
    control.deploy_ready("hog", hog).await;
    control.deploy_ready("etl", container.store.echo("v1")).await;
    let load = Load::start([container.echo("etl")]);
    // Killed half-way through: the call cannot be answered.
    container.echo("hog").call("Eat", "1000").await.expect_err("it ate more than its limit");

    let failure = eventually("the kill is told", async || control.get("hog").await.ok()?.last_failure).await;
    let exit = failure.exit.expect("a kill is an exit");
    assert!(exit.out_of_memory, "{exit:?}");
    assert!((MEMORY_BYTES_MAX / 2..=MEMORY_BYTES_MAX).contains(&exit.memory_bytes_peak), "{exit:?}");
    load.further(50).await;
    assert!(load.stop().await.failures.is_empty());
    eventually("the hog is started again", async || container.echo("hog").marker().await.ok()).await;
}

#[tokio::test]
async fn a_hog_without_a_limit_of_its_own_cannot_fill_the_container() {
    let container = Container::start_with(Cgroups::Writable, &["--memory=512m", "--memory-swap=512m"]).await;
    let control = container.control();
    let before = container.pid_1().await;
    let memory = observe::cgroups(before).into_iter().find(|group| group.starts_with("/sys/fs/cgroup/memory"));
    let mut own = std::fs::read_dir(memory.unwrap()).unwrap().flatten().map(|entry| entry.path().join("environments"));
    let environments = own.find(|group| group.exists()).expect("environments have a group together");
    let limit = std::fs::read_to_string(environments.join("memory.limit_in_bytes")).unwrap();
    assert_eq!(limit.trim().parse(), Ok(448 * MIB), "the container's memory, less the reserve");

    control.deploy_ready("hog", container.store.fixture("eats_memory")).await;
    control.deploy_ready("etl", container.store.echo("v1")).await;
    container.echo("hog").call("Eat", "1000").await.expect_err("it ate more than there is");
    let failure = eventually("the kill is told", async || control.get("hog").await.ok()?.last_failure).await;
    assert!(failure.exit.expect("a kill is an exit").out_of_memory);
    // Its neighbour may have been hit: what no limit of their own keeps apart, the kernel chooses from.
    eventually("its neighbour serves", async || container.echo("etl").marker().await.ok()).await;
    assert_eq!(container.pid_1().await, before, "pexvisor was never in danger");
}

#[tokio::test]
async fn a_removed_container_leaves_no_cgroup() {
    let container = Container::start(Cgroups::Writable).await;
    container.control().deploy_ready("etl", container.store.echo("v1")).await;
    let groups = observe::cgroups(container.pid_1().await);
    // Those of this container, not a hierarchy's root.
    let own: Vec<_> = groups.into_iter().filter(|group| group.to_string_lossy().contains("/docker/")).collect();
    assert!(!own.is_empty());
    drop(container);
    for group in own {
        assert!(!group.exists(), "{} is left", group.display());
    }
}
