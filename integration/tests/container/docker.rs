//! One container from the image under test, looked at from outside: this machine's /proc, its published port, and the
//! control socket in the state directory, which is a folder of this machine.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pexvisor_integration::{
    Control, Echo, Store, eventually, observe,
    program::{self, Ran},
};
use tempfile::TempDir;

/// The image that `integration/setup/images.sh` makes.
pub const IMAGE: &str = "pexvisor-test";
/// How with-docker.sh finds what a test left running.
const LABEL: &str = "pexvisor.test";

/// What the container may do with its cgroups.
#[derive(Clone, Copy, Debug)]
pub enum Cgroups {
    /// Docker's default: they are there to be read.
    ReadOnly,
    /// As deploy/README.md says for a Docker that has no option for it.
    Writable,
}

impl Cgroups {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::ReadOnly => &[],
            Self::Writable => &[
                "--cap-add=SYS_ADMIN",
                "--cgroupns=private",
                "--security-opt=seccomp=unconfined",
                "--security-opt=apparmor=unconfined",
                "--entrypoint=/bin/sh",
            ],
        }
    }

    /// What stands behind the image's name.
    fn command(self) -> &'static [&'static str] {
        const REMOUNT_AND_START: &str = "for c in memory cpu cpuacct pids freezer; do \
             mount -o remount,bind,rw /sys/fs/cgroup/$c || exit 1; done; exec pexvisor";
        match self {
            Self::ReadOnly => &[],
            Self::Writable => &["-c", REMOUNT_AND_START],
        }
    }
}

/// A container, removed with everything of it when dropped.
pub struct Container {
    name: String,
    proxy: String,
    /// What it finds at /store.
    pub store: Store,
    home: TempDir,
}

impl Container {
    /// Starts one, and returns when it takes calls.
    pub async fn start(cgroups: Cgroups) -> Self {
        Self::start_with(cgroups, &[]).await
    }

    /// As [`Container::start`], with further flags of `docker run`.
    pub async fn start_with(cgroups: Cgroups, flags: &[&str]) -> Self {
        // Short, because the path of a socket in it may have 108 bytes at most; open, because environments may run
        // under users of their own.
        let home = tempfile::Builder::new().prefix("pvc").tempdir_in("/tmp").expect("make a home");
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).expect("open the home to all");
        let name = home.path().file_name().expect("a home has a name").to_string_lossy().into_owned();
        let proxy = format!("127.0.0.1:{}", free_port());
        let container = Self { name, proxy, store: Store::new(home.path().join("store")), home };
        container.run(cgroups, flags).await;
        container.takes_calls().await;
        container
    }

    async fn run(&self, cgroups: Cgroups, flags: &[&str]) {
        let home = self.home.path().display();
        let args = [
            "run".to_owned(),
            "--detach".to_owned(),
            format!("--name={}", self.name),
            format!("--label={LABEL}"),
            format!("--publish={}:4266", self.proxy),
            format!("--volume={home}/store:/store:ro"),
            format!("--volume={home}/state:/var/lib/pexvisor"),
            "--env=PEXVISOR_STORE=file:///store".to_owned(),
        ];
        let args = args.iter().map(String::as_str).chain(cgroups.flags().iter().copied()).chain(flags.iter().copied());
        docker(args.chain([IMAGE]).chain(cgroups.command().iter().copied())).await.ok();
    }

    /// Returns when the control API answers.
    pub async fn takes_calls(&self) {
        eventually("the supervisor in the container takes calls", async || {
            let ended = self.exit_code().await;
            assert!(ended.is_none(), "it ended at its start with {ended:?}");
            self.control().list().await.ok()
        })
        .await;
    }

    /// A client of the control socket.
    pub fn control(&self) -> Control {
        Control::new(&self.state_dir().join("control/control.sock"))
    }

    /// A client of one environment, through the published port of the proxy.
    pub fn echo(&self, environment: &str) -> Echo {
        Echo::through(&self.proxy, environment)
    }

    /// The state directory, as this machine sees it.
    pub fn state_dir(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// Runs a program in the container.
    pub async fn exec(&self, command: &[&str]) -> Ran {
        docker(["exec", &self.name].into_iter().chain(command.iter().copied())).await
    }

    /// A docker command about this container: `docker <verb> <flags> <name>`.
    pub async fn docker(&self, verb: &[&str]) -> Ran {
        docker(verb.iter().copied().chain([self.name.as_str()])).await
    }

    /// One field of `docker inspect`.
    pub async fn inspect(&self, field: &str) -> String {
        self.docker(&["inspect", "--format", field]).await.ok().trim().to_owned()
    }

    /// The exit code of a container that does not run.
    pub async fn exit_code(&self) -> Option<i32> {
        let state = self.inspect("{{.State.Running}} {{.State.ExitCode}}").await;
        state.strip_prefix("false ").map(|code| code.parse().expect("an exit code is a number"))
    }

    /// The process id of PID 1 on this machine.
    pub async fn pid_1(&self) -> i32 {
        self.inspect("{{.State.Pid}}").await.parse().expect("a pid is a number")
    }

    /// The process id on this machine of a process that the container knows as `inner`.
    pub async fn outer_pid(&self, inner: i32) -> i32 {
        let inner = inner.to_string();
        let mut pids = observe::descendants(self.pid_1().await).into_iter();
        let found = pids.find(|&pid| inner_pid(pid).as_deref() == Some(&inner));
        found.unwrap_or_else(|| panic!("the container has no process {inner}"))
    }

    /// Kills the process that serves an environment, as the kernel would.
    pub async fn kill_code_server(&self, environment: &str) {
        let inner = self.control().serving_pid(environment).await.expect("it serves");
        let pid = Pid::from_raw(self.outer_pid(inner).await);
        kill(pid, Signal::SIGKILL).expect("kill a code server");
    }

    /// What pexvisor and the code servers wrote.
    pub async fn log(&self) -> String {
        let ran = self.docker(&["logs"]).await;
        ran.stdout + &ran.stderr
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the container's log ----\n{}", output_of(&["logs", &self.name]));
        }
        output_of(&["rm", "--force", "--volumes", &self.name]);
    }
}

/// Runs `docker`.
pub async fn docker<'a>(args: impl IntoIterator<Item = &'a str>) -> Ran {
    program::run("docker", args).await
}

/// As [`docker`], where nothing can be awaited; stdout and stderr as one text.
fn output_of(args: &[&str]) -> String {
    let piped = Command::new("docker").args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let output = piped.and_then(Child::wait_with_output).expect("run docker");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The innermost process id of /proc/PID/status.
fn inner_pid(pid: i32) -> Option<String> {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    ids.split_whitespace().next_back().map(str::to_owned)
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind any port");
    listener.local_addr().expect("it is bound").port()
}
