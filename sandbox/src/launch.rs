//! The parent's side of a start: one fork of the stage program, the leaf, the orders, the answer.
//!
//! The steps are apart ([`StageProgram::start`], [`Stage::hand_over`], [`Launched::confirm`]) so that the owner of
//! waiting can register the pid before anything else happens. Nothing here waits for a child.
//!
//! Who writes the pid into the leaf? The parent, before the orders are sent: the stage program blocks on them, so it
//! is inside before its first step, needs no descriptor or right on the cgroup files, and a refusal is known at once.
//! `CLONE_INTO_CGROUP` would save the move, but the usual seccomp profiles answer ENOSYS to clone3.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use crate::{
    cgroup::CgroupError,
    handover,
    signal::open_pidfd,
    spec::Spec,
    stage::{STAGE_ARGUMENT, StepFailure},
};

/// Longest silence of a stage program. All its steps are system calls; only a dead file system can hold one up.
const CONFIRM_WAIT_MAX: Duration = Duration::from_secs(30);

/// The program that calls [`crate::stage_main`], and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageProgram {
    path: PathBuf,
    args: Vec<OsString>,
}

/// A stage program that waits for its orders.
#[derive(Debug)]
pub struct Stage {
    pid: i32,
    pidfd: Arc<OwnedFd>,
    socket: UnixStream,
}

/// A stage program that has its orders.
#[derive(Debug)]
pub struct Launched {
    /// The process: first the stage program, then the program.
    pub pid: i32,
    socket: UnixStream,
}

/// Why a program was not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No process, or too few descriptors.
    #[error("start the stage program {path:?}")]
    Start {
        /// The stage program.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The process is there but its leaf refuses it.
    #[error("put the new process into its cgroup")]
    Join(#[from] CgroupError),
    /// The stage program ended early or was silent for 30 s.
    #[error("talk to the stage program")]
    HandOver(#[source] io::Error),
    /// A step of the stage program failed.
    #[error("prepare the program")]
    Step(#[from] StepFailure),
}

impl StageProgram {
    /// This executable, even when its file was replaced since, with the argument that makes it a stage program.
    pub fn this_executable() -> Self {
        Self { path: "/proc/self/exe".into(), args: vec![STAGE_ARGUMENT.into()] }
    }

    /// Another program that calls [`crate::stage_main`].
    pub fn other(path: impl Into<PathBuf>, args: impl IntoIterator<Item = OsString>) -> Self {
        Self { path: path.into(), args: args.into_iter().collect() }
    }

    /// Forks the stage program. Quick: whoever owns waiting can hold its lock across it.
    ///
    /// # Errors
    /// [`LaunchError::Start`].
    pub fn start(&self, spec: &Spec) -> Result<Stage, LaunchError> {
        self.fork(spec).map_err(|source| LaunchError::Start { path: self.path.clone(), source })
    }

    fn fork(&self, spec: &Spec) -> io::Result<Stage> {
        let (socket, theirs) = UnixStream::pair()?;
        let child = Command::new(&self.path)
            .args(&self.args)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(output(spec.stdout.as_ref())?)
            .stderr(output(spec.stderr.as_ref())?)
            .spawn()?;
        let pid = i32::try_from(child.id()).expect("a pid is below 2^22 (kernel: PID_MAX_LIMIT)");
        Ok(Stage { pid, pidfd: Arc::new(open_pidfd(pid)?), socket })
    }
}

/// A copy of `fd`, or /dev/null.
fn output(fd: Option<&OwnedFd>) -> io::Result<Stdio> {
    match fd {
        Some(fd) => Ok(Stdio::from(fd.try_clone()?)),
        None => Ok(Stdio::from(File::options().write(true).open("/dev/null")?)),
    }
}

impl Stage {
    /// The process.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Names this process and never a later one with the same pid.
    pub fn pidfd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.pidfd)
    }

    /// Puts the process into its leaf and sends its orders. After an error the process ends by itself.
    ///
    /// # Errors
    /// [`LaunchError::Join`], [`LaunchError::HandOver`].
    pub fn hand_over(self, spec: &Spec) -> Result<Launched, LaunchError> {
        if let Some(leaf) = &spec.leaf {
            leaf.admit(self.pid, &spec.orders.program.env)?;
        }
        handover::send_orders(&self.socket, &spec.orders, spec.stdin.as_ref()).map_err(LaunchError::HandOver)?;
        Ok(Launched { pid: self.pid, socket: self.socket })
    }
}

impl Launched {
    /// Blocks until the program itself runs. After an error the process ends by itself.
    ///
    /// # Errors
    /// [`LaunchError::Step`] with the first step that failed; [`LaunchError::HandOver`] after 30 s of silence.
    pub fn confirm(self) -> Result<i32, LaunchError> {
        self.socket.set_read_timeout(Some(CONFIRM_WAIT_MAX)).map_err(LaunchError::HandOver)?;
        match handover::receive_failure(&self.socket).map_err(LaunchError::HandOver)? {
            None => Ok(self.pid),
            Some(failure) => Err(failure.into()),
        }
    }
}

/// Starts `spec` through this executable; the caller is the one owner of waiting for `pid`.
///
/// # Errors
/// [`LaunchError`].
pub fn launch(spec: &Spec) -> Result<Launched, LaunchError> {
    StageProgram::this_executable().start(spec)?.hand_over(spec)
}
