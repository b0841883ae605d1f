//! pexctl against a real supervisor: what it prints and the exit codes that scripts rely on.

use std::path::PathBuf;

use pexvisor_integration::{
    Supervisor, pexes,
    program::{Ran, built, run},
};
use serde_json::Value;

/// pexctl with its own supervisor to talk to.
struct Operator(Supervisor);

impl Operator {
    async fn new() -> Self {
        Self(Supervisor::start().await)
    }

    async fn pexctl(&self, args: &[&str]) -> Ran {
        let control = format!("--control=unix:{}", self.0.control_socket().display());
        run(pexctl(), [&[control.as_str()], args].concat()).await
    }

    /// Deploys one of the fixtures, copied into the store from where `make setup` put it.
    async fn deploy(&self, source: &str, flags: &[&str]) -> Ran {
        let [deps, source] = ["tiny-deps", source].map(|pex| format!("--artifact={}", pexes::path(pex).display()));
        let store = format!("--store-dir={}", self.0.store.dir().display());
        self.pexctl(&[&["deploy", "etl", &deps, &source, &store], flags].concat()).await
    }
}

fn pexctl() -> PathBuf {
    built("pexctl", "PEXCTL_BIN")
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("one object per line")).collect()
}

#[tokio::test]
async fn a_day_of_an_operator() {
    let operator = Operator::new().await;
    let deployed = operator.deploy("tiny-v1", &["--module=tiny_server", "--label=first"]).await.ok();
    assert!(
        deployed.contains("tiny-v1.pex: installed") && deployed.contains("ready: generation 1 serves"),
        "{deployed}"
    );
    let deployed = operator.deploy("tiny-v2", &["--module=tiny_server", "--json"]).await.ok();
    let events = json_lines(&deployed);
    assert_eq!(events[0]["accepted"], serde_json::json!({}));
    assert!(events.last().unwrap()["ready"]["timings"]["total_us"].as_u64().unwrap() > 0, "{deployed}");
    let listed = operator.pexctl(&["list"]).await.ok();
    assert!(listed.lines().nth(1).unwrap().starts_with("etl   serving"), "{listed}");
    let status = json_lines(&operator.pexctl(&["--json", "status", "etl"]).await.ok());
    assert_eq!((&status[0]["serving_revision"], &status[0]["previous_revision"]), (&2.into(), &1.into()));
    operator.pexctl(&["rollback", "etl"]).await.ok();
    assert_eq!(operator.0.echo("etl").marker().await.unwrap(), "v1:");
    operator.pexctl(&["restart", "etl"]).await.ok();
    let logs = operator.pexctl(&["logs", "etl", "-n", "1"]).await.ok();
    assert_eq!(logs, "tiny v1 serves\n");
    operator.pexctl(&["stop", "etl"]).await.ok();
    operator.pexctl(&["remove", "etl"]).await.ok();
    assert_eq!(operator.pexctl(&["list"]).await.ok().lines().count(), 1, "only the head is left");
}

#[tokio::test]
async fn a_failed_deploy_is_exit_code_1_with_the_traceback() {
    let operator = Operator::new().await;
    let ran = operator.deploy("raises_at_import", &["--module=raises_at_import"]).await;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.stdout.contains("failed (exited)") && ran.stdout.contains("| RuntimeError"), "{}", ran.stdout);
}

#[tokio::test]
async fn each_kind_of_refusal_has_its_exit_code_and_says_what_to_do() {
    let operator = Operator::new().await;
    let digest = "0".repeat(64);
    let bad_name = ["deploy", "No/Name", "--artifact", &digest, "--entry-point"];
    assert_refused(&operator.pexctl(&bad_name).await, 2, "use a name");
    assert_refused(&operator.pexctl(&["status", "nobody"]).await, 3, "nobody");
    operator.deploy("tiny-v1", &["--module=tiny_server"]).await.ok();
    assert_refused(&operator.pexctl(&["rollback", "etl"]).await, 4, "deploy");
    let stale = operator.deploy("tiny-v2", &["--module=tiny_server", "--expected-revision=7"]).await;
    assert_refused(&stale, 4, "newest is 1");
    let elsewhere = run(pexctl(), ["--control=unix:/nowhere/control.sock", "list"]).await;
    assert_refused(&elsewhere, 5, "is pexvisor running?");
}

fn assert_refused(ran: &Ran, code: i32, says: &str) {
    assert_eq!(ran.code, Some(code), "{ran:#?}");
    assert!(ran.stderr.contains(says), "{ran:#?}");
    assert_eq!(ran.stdout, "", "errors go to stderr alone");
}

#[tokio::test]
async fn artifacts_staged_before_need_no_fetch_and_no_install_later() {
    let operator = Operator::new().await;
    let [deps, source] = ["tiny-deps", "tiny-v1"].map(|pex| format!("--artifact={}", pexes::path(pex).display()));
    let store = format!("--store-dir={}", operator.0.store.dir().display());
    operator.pexctl(&["stage", &deps, &source, &store]).await.ok();
    let deployed = operator.deploy("tiny-v1", &["--module=tiny_server"]).await.ok();
    assert!(deployed.contains("tiny-deps.pex: installed before"), "{deployed}");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let operator = Operator::new().await;
    let revision = operator.0.store.fixture("floods_stdout");
    operator.0.control().deploy_ready("etl", revision).await;
    let control = operator.0.control_socket();
    let script = format!("{} --control=unix:{} logs -f etl | head -n 3", pexctl().display(), control.display());
    let ran = run("/bin/bash", ["-o", "pipefail", "-c", &script]).await;
    assert_eq!((ran.code, ran.stdout.lines().count(), ran.stderr.as_str()), (Some(0), 3, ""), "{ran:#?}");
}
