//! How pexvisor starts and ends: flags, variables, refusals, signals.

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::Signal,
};
use pexvisor_integration::{
    Supervisor, observe,
    program::{built, run},
};

#[tokio::test]
async fn control_over_tcp_is_refused_unless_it_is_asked_for_by_name() {
    let supervisor = Supervisor::prepare(&[]);
    let state_dir = supervisor.state_dir().to_string_lossy().into_owned();
    let args = ["--state-dir", &state_dir, "--control", "127.0.0.1:0", "--proxy", "127.0.0.1:0"];
    let refused = run(built("pexvisor", "PEXVISOR_BIN"), args).await;
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("--insecure-control"), "{refused:#?}");
}

#[tokio::test]
async fn wrong_flags_are_told_with_exit_code_2() {
    for args in [&["--no-such-flag"][..], &["--proxy", "nonsense"], &["surplus"]] {
        let ran = run(built("pexvisor", "PEXVISOR_BIN"), args).await;
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:#?}");
    }
    let relative = run(built("pexvisor", "PEXVISOR_BIN"), ["--state-dir", "relative"]).await;
    assert!(relative.code.is_some_and(|code| code != 0) && relative.stderr.contains("absolute"), "{relative:#?}");
}

#[tokio::test]
async fn a_store_that_is_none_is_refused_at_the_start() {
    let supervisor = Supervisor::prepare(&[]);
    let state_dir = supervisor.state_dir().to_string_lossy().into_owned();
    let ran = run(built("pexvisor", "PEXVISOR_BIN"), ["--state-dir", &state_dir, "--store", "gopher://x"]).await;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.stderr.contains("s3://") && ran.stderr.contains("file://"), "it says what a store is: {ran:#?}");
}

#[tokio::test]
async fn help_names_every_flag_and_its_variable() {
    let help = run(built("pexvisor", "PEXVISOR_BIN"), ["--help"]).await.ok();
    for flag in ["state-dir", "store", "control", "proxy", "probes", "image", "insecure-control"] {
        let variable = format!("PEXVISOR_{}", flag.replace('-', "_").to_uppercase());
        assert!(help.contains(&format!("--{flag}")) && help.contains(&variable), "{flag}: {help}");
    }
}

#[tokio::test]
async fn sigint_ends_it_as_sigterm_does() {
    let mut supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    supervisor.signal(Signal::SIGINT);
    assert_eq!(supervisor.wait(std::time::Duration::from_secs(40)), Some(0));
    assert_eq!(supervisor.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_sigterm_does_not_wait_for_calls_in_flight() {
    let mut supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let endless = supervisor.endless_call("etl").await;
    supervisor.signal(Signal::SIGTERM);
    pexvisor_integration::eventually("/readyz says that the end has come", async || {
        (pexvisor_integration::http::get(&supervisor.probes, "/readyz").await.status == 503).then_some(())
    })
    .await;
    supervisor.signal(Signal::SIGTERM);
    let ended = supervisor.wait(std::time::Duration::from_secs(10));
    assert_eq!(ended, Some(0), "sooner than the 30 s that the call might drain: {}", supervisor.log());
    assert!(endless.await.unwrap().is_err());
    assert_eq!(observe::processes_naming(supervisor.home()), []);
}

/// The soft and the hard limit of open files of a process, as the kernel writes them.
fn open_files(pid: i32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("a process");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let mut words = line.split_ascii_whitespace().skip(3).map(ToOwned::to_owned);
    (words.next().expect("soft"), words.next().expect("hard"))
}

#[tokio::test]
async fn the_supervisor_may_open_all_files_it_is_allowed_and_code_servers_as_many_as_it_was_started_with() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 512, hard).unwrap();
    let supervisor = Supervisor::start().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let (soft_of_ours, hard_of_ours) = open_files(supervisor.pid());
    assert_eq!(soft_of_ours, hard_of_ours);
    let of_code_server = open_files(control.serving_pid("etl").await.unwrap());
    assert_eq!(of_code_server, ("512".to_owned(), hard_of_ours));
}
