//! pexctl as an operator and a script use it: words, lines, JSON, exit codes.

use pexvisor_integration::{
    Supervisor, pexes,
    program::{Ran, built, run},
};

async fn pexctl(supervisor: &Supervisor, args: &[&str]) -> Ran {
    let control = format!("unix:{}", supervisor.control_socket().display());
    run(built("pexctl", "PEXCTL_BIN"), [&["--control", &control], args].concat()).await
}

/// `pexctl deploy` of the echo server, its files copied into the store.
async fn deploy(supervisor: &Supervisor, source: &str, module: &str) -> Ran {
    let store = supervisor.store.dir().to_string_lossy().into_owned();
    let [deps, source] = ["tiny-deps", source].map(|name| pexes::path(name).to_string_lossy().into_owned());
    let files = ["--artifact", &deps, "--artifact", &source, "--store-dir", &store];
    pexctl(supervisor, &[&["deploy", "etl", "--module", module], &files[..]].concat()).await
}

#[tokio::test]
async fn a_session_from_deploy_to_stop() {
    let supervisor = Supervisor::start().await;
    let deployed = deploy(&supervisor, "tiny-v1", "tiny_server").await.ok();
    assert!(!deployed.contains('\u{1b}'), "no escape codes when piped: {deployed:?}");
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
    deploy(&supervisor, "tiny-v2", "tiny_server").await.ok();
    assert!(pexctl(&supervisor, &["list"]).await.ok().contains("etl"));
    assert!(pexctl(&supervisor, &["status", "etl"]).await.ok().to_lowercase().contains("serving"));
    assert!(pexctl(&supervisor, &["logs", "etl"]).await.ok().contains("tiny v2 serves"));
    pexctl(&supervisor, &["restart", "etl"]).await.ok();
    pexctl(&supervisor, &["rollback", "etl"]).await.ok();
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
    assert!(pexctl(&supervisor, &["describe"]).await.ok().contains("test-image"));
    pexctl(&supervisor, &["stop", "etl"]).await.ok();
    assert!(supervisor.echo("etl").marker().await.is_err());
}

#[tokio::test]
async fn json_is_one_object_a_line() {
    let supervisor = Supervisor::start().await;
    deploy(&supervisor, "tiny-v1", "tiny_server").await.ok();
    let listed = pexctl(&supervisor, &["--json", "list"]).await.ok();
    let objects: Vec<serde_json::Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(listed.contains("\"etl\"") && objects.iter().all(serde_json::Value::is_object), "{listed}");
}

#[tokio::test]
async fn a_failed_deploy_has_its_own_exit_code_and_shows_the_traceback() {
    let supervisor = Supervisor::start().await;
    let failed = deploy(&supervisor, "raises_at_import", "raises_at_import").await;
    let refused = pexctl(&supervisor, &["status", "nobody"]).await;
    assert_eq!((failed.code, refused.code), (Some(1), Some(3)));
    let said = format!("{}{}", failed.stdout, failed.stderr);
    assert!(said.contains("RuntimeError: the settings of raises_at_import are missing"), "{said}");
    assert!(refused.stderr.contains("nobody"), "{refused:#?}");
}

#[tokio::test]
async fn a_supervisor_that_is_not_there_is_told_plainly() {
    let supervisor = Supervisor::prepare(&[]);
    let ran = pexctl(&supervisor, &["list"]).await;
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    assert!(ran.stderr.contains(&*supervisor.control_socket().to_string_lossy()), "{ran:#?}");
}
