//! A server under test as a child process: started with its output in a file, ended with everything that it left.
//!
//! This program is a subreaper, so that what a server leaves behind becomes its child and can be found and waited for.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::proc_fs;

/// How long a server may take to end after SIGTERM; the peer waits for each code server.
const END_MAX: Duration = Duration::from_secs(20);

/// Less than this share of a core over [`QUIET_WINDOW`] counts as idle; the peer's own loops use about 1 %.
const QUIET_SHARE: f64 = 0.06;
const QUIET_WINDOW: Duration = Duration::from_millis(500);

/// A background job that takes longer is measured as it is.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    pid: i32,
    started: Instant,
}

/// Has orphans of the servers come to this process.
pub fn adopt_orphans() -> nix::Result<()> {
    prctl::set_child_subreaper(true)
}

impl Server {
    /// Starts the command; its output goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> std::io::Result<Self> {
        let log = File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.env_remove("PYTHONDONTWRITEBYTECODE");
        let started = Instant::now();
        let child = command.spawn()?;
        Ok(Self { pid: i32::try_from(child.id()).expect("a pid fits"), started })
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// CPU time of the server and its code servers, dead ones included.
    pub fn cpu(&self) -> Duration {
        proc_fs::tree_cpu(self.pid)
    }

    /// Memory of the server without its code servers, in MB.
    pub fn memory_mb(&self) -> f64 {
        proc_fs::server_memory_mb(self.pid)
    }

    /// Waits until the tree does nothing: background work of one measure must not fall into the next.
    pub async fn quiet(&self) {
        let waited = Instant::now();
        let mut before = self.cpu();
        while waited.elapsed() < QUIET_WAIT_MAX {
            tokio::time::sleep(QUIET_WINDOW).await;
            let now = self.cpu();
            if now.saturating_sub(before).as_secs_f64() < QUIET_SHARE * QUIET_WINDOW.as_secs_f64() {
                return;
            }
            before = now;
        }
    }

    /// SIGTERM, then SIGKILL for it and for every process that it leaves.
    pub async fn end(self) {
        let members = proc_fs::tree(self.pid);
        signal(self.pid, Signal::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < END_MAX && !ended(self.pid) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        kill_all(&members);
    }
}

/// A run that fails or is interrupted leaves nothing behind either.
impl Drop for Server {
    fn drop(&mut self) {
        kill_all(&proc_fs::tree(self.pid));
    }
}

/// Parents come first in the list: once one is waited for, its children are ours. A pid that is ours to wait for cannot
/// have been given to another process yet.
fn kill_all(members: &[i32]) {
    for pid in members {
        if !ended(*pid) {
            signal(*pid, Signal::SIGKILL);
            let _ = waitpid(Pid::from_raw(*pid), None);
        }
    }
}

fn signal(pid: i32, signal: Signal) {
    // Gone already is what is wanted.
    let _ = kill(Pid::from_raw(pid), signal);
}

/// True when the child was just waited for, or is no child (any more).
fn ended(pid: i32) -> bool {
    match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => false,
        Ok(_) | Err(_) => true,
    }
}
