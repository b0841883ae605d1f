//! Environment names that are none are refused by every call that takes one, and cost nothing.

use pexvisor_integration::{Supervisor, observe, request};
use tonic::Code;

#[tokio::test]
async fn every_call_refuses_a_name_that_is_none_and_says_what_a_name_is() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let before = observe::files_under(&supervisor.state_dir().join("environments")).len();
    let long = "x".repeat(300);
    for name in [
        "", "a/b", "../etl", "..", ".", "a.b", "a b", "etl ", "Etl", "1etl", "-etl", "ätl", "😀", "a\0b", "a\nb", &long,
    ] {
        let spec = supervisor.store.echo("v2");
        let answers = [
            control.deploy(request(name, spec)).await.map(drop),
            control.get(name).await.map(drop),
            control.stop(name).await.map(drop),
            control.remove(name).await,
            control.restart(name).await.map(drop),
            control.rollback(name, 0).await.map(drop),
            control.log_text(name, 0).await.map(drop),
        ];
        for answer in answers {
            let status = answer.expect_err("no environment can have that name");
            assert_eq!(status.code(), Code::InvalidArgument, "{name:?}: {status:?}");
            let told = if name.is_empty() { "environment" } else { "a-z" };
            assert!(status.message().contains(told), "the message says what a name is: {}", status.message());
            assert!(status.message().len() < 400, "a long name is not thrown back whole: {}", status.message());
        }
    }
    assert_eq!(control.list().await.unwrap().len(), 1);
    assert_eq!(
        observe::files_under(&supervisor.state_dir().join("environments")).len(),
        before,
        "nothing was written down"
    );
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:", "what served serves on");
}

#[tokio::test]
async fn a_name_of_63_characters_serves() {
    let supervisor = Supervisor::start().await;
    let name = format!("a{}", "-9".repeat(31));
    supervisor.control().deploy_ready(&name, supervisor.store.echo("v1")).await;
    assert_eq!(supervisor.echo(&name).marker().await.unwrap(), "v1:");
}

#[tokio::test]
async fn every_call_says_not_found_of_an_environment_that_is_not_there() {
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    let answers = [
        control.get("nobody").await.map(drop),
        control.stop("nobody").await.map(drop),
        control.remove("nobody").await,
        control.restart("nobody").await.map(drop),
        control.rollback("nobody", 0).await.map(drop),
        control.log_text("nobody", 0).await.map(drop),
    ];
    for answer in answers {
        let status = answer.expect_err("there is none");
        assert_eq!(status.code(), Code::NotFound, "{status:?}");
        assert!(status.message().contains("nobody"), "{}", status.message());
    }
}
