//! One pexvisor process with a state dir, a store and addresses of its own, which a test starts, kills and starts again.
//!
//! On drop it is stopped as an operator would stop it, and then nothing of it may be left.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::{Control, Echo, Store, eventually, observe, poll::became_true, ports::free_port, program};

/// From SIGTERM to the end: drain and terminate timeouts of the tests' revisions, doubled.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(40);

/// A running pexvisor, and what outlives it.
pub struct Supervisor {
    process: Option<Child>,
    flags: Vec<String>,
    /// Environment variables on top of the test's own.
    pub variables: Vec<(String, String)>,
    /// What clients of the proxy connect to, `host:port`.
    pub proxy: String,
    /// What probes connect to, `host:port`.
    pub probes: String,
    /// Its store.
    pub store: Store,
    home: TempDir,
}

impl Supervisor {
    /// Starts one in a new home, and returns when it takes calls.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`Supervisor::start`], with further flags.
    pub async fn start_with(flags: &[&str]) -> Self {
        let mut supervisor = Self::prepare(flags);
        supervisor.start_again().await;
        supervisor
    }

    /// A home with nothing running in it yet.
    pub fn prepare(flags: &[&str]) -> Self {
        // Short, because the path of a socket in it may have 108 bytes at most; open, because environments run under
        // users of their own.
        let home = tempfile::Builder::new().prefix("pv").tempdir_in("/tmp").expect("make a home");
        open_to_all(home.path());
        let address = || format!("127.0.0.1:{}", free_port());
        Self {
            process: None,
            flags: flags.iter().map(ToString::to_string).collect(),
            variables: Vec::new(),
            proxy: address(),
            probes: address(),
            store: Store::new(home.path().join("store")),
            home,
        }
    }

    /// Starts the process (again) on the same home, and returns when it takes calls.
    pub async fn start_again(&mut self) {
        let command = self.command();
        self.start_as(command).await;
    }

    /// As [`Supervisor::start_again`], by a command line that was changed.
    pub async fn start_as(&mut self, mut command: Command) {
        assert!(self.process.is_none(), "it runs already");
        self.process = Some(command.spawn().expect("start pexvisor"));
        eventually("the supervisor takes calls", async || {
            let ended = self.process.as_mut().expect("it was started").try_wait().expect("ask for its end");
            assert!(ended.is_none(), "pexvisor ended at its start with {ended:?}:\n{}", self.log());
            self.control().list().await.ok()
        })
        .await;
    }

    /// The command line, ready to start: stdout and stderr go to the log.
    pub fn command(&self) -> Command {
        let log = File::options().create(true).append(true).open(self.log_file()).expect("open the log");
        let mut command = Command::new(program::built("pexvisor", "PEXVISOR_BIN"));
        command
            .arg("--state-dir")
            .arg(self.state_dir())
            .arg(format!("--control=unix:{}", self.control_socket().display()))
            .args(["--proxy", &self.proxy, "--probes", &self.probes, "--image", "test-image"])
            // A container's; a developer's may be full of Pythons that other users may not run.
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .args(self.store_flag())
            .args(&self.flags)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log"))
            .stderr(log);
        command
    }

    /// A client of the control socket.
    pub fn control(&self) -> Control {
        Control::new(&self.control_socket())
    }

    /// A client of one environment's echo server, on a connection of its own.
    pub fn echo(&self, environment: &str) -> Echo {
        Echo::through(&self.proxy, environment)
    }

    /// A call to an environment's code server that never ends by itself; returns when it is in flight.
    pub async fn endless_call(&self, environment: &str) -> JoinHandle<Result<Bytes, Status>> {
        let (echo, control) = (self.echo(environment), self.control());
        let call = tokio::spawn(async move { echo.call("Wait", "/nowhere/at/all").await });
        eventually("the call is in flight", async || {
            (control.get(environment).await.ok()?.generations.iter().any(|it| it.calls_in_flight > 0)).then_some(())
        })
        .await;
        call
    }

    /// The folder that goes with the test.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The state dir.
    pub fn state_dir(&self) -> PathBuf {
        self.home().join("state")
    }

    /// The control socket, in a folder of its own.
    pub fn control_socket(&self) -> PathBuf {
        self.home().join("control.sock")
    }

    /// The supervisor's process id.
    pub fn pid(&self) -> i32 {
        self.process.as_ref().expect("it runs").id().cast_signed()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Ends it as a power cut would.
    pub fn sigkill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait(SHUTDOWN_PATIENCE);
    }

    /// Ends it as an operator would; gives its exit code.
    pub fn sigterm(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.wait(SHUTDOWN_PATIENCE)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("signal the supervisor");
    }

    /// Waits for its end; gives the exit code, none after a signal.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let process = self.process.as_mut().expect("it runs");
        let mut end = None;
        let ended = became_true(limit, || {
            end = process.try_wait().expect("ask for its end");
            end.is_some()
        });
        assert!(ended, "pexvisor did not end within {limit:?}:\n{}", self.log());
        self.process = None;
        end.and_then(|status| status.code())
    }

    /// What is left of it when it does not run: processes, and garbage in the state dir.
    pub fn leftovers(&self) -> Vec<String> {
        let processes = observe::processes_naming(self.home());
        let processes = processes.iter().map(|process| format!("process {} {}", process.pid, process.command));
        let garbage = ["tmp", "run", "scratch"].map(|dir| observe::files_under(&self.state_dir().join(dir)));
        processes.chain(garbage.iter().flatten().map(|file| format!("file {}", file.display()))).collect()
    }

    /// The directory store, unless the test names another one.
    fn store_flag(&self) -> Option<String> {
        let other = self.flags.iter().any(|flag| flag.starts_with("--store"));
        (!other).then(|| format!("--store=file://{}", self.store.dir().display()))
    }

    fn log_file(&self) -> PathBuf {
        self.home().join("log")
    }

    fn kill_all(&mut self) {
        if self.process.is_some() {
            self.sigkill();
        }
        for process in observe::processes_naming(self.home()) {
            // It may have ended by itself meanwhile.
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- pexvisor's log ----\n{}", self.log());
            return self.kill_all();
        }
        if self.process.is_some() {
            let code = self.sigterm();
            assert_eq!(code, Some(0), "SIGTERM ends it well:\n{}", self.log());
            let left = self.leftovers();
            self.kill_all();
            assert!(left.is_empty(), "left over after SIGTERM: {left:#?}");
        }
        self.kill_all();
    }
}

fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("open the home");
}
