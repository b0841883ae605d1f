//! One installer process: a request in, events out, its own cgroup leaf around it.
//!
//! The process parses bytes that may be hostile, so nothing it says is believed that can be checked, and what it says
//! is bounded. What is asked of it, and why, is the business of `install`, `compile` and `interpreters`.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pexvisor_install::{Event, Request};
use pexvisor_sandbox::{
    BadSpec, End, LaunchError, Program, Spec,
    cgroup::{CgroupError, Leaf, LeafName, Limits, Tree},
};
use tokio::{sync::mpsc, task::spawn_blocking, time::timeout};

use crate::init::{Piped, Process, Reaper};

/// Longest silence of a process, in which it says nothing and does not end: unpacking 1 GB on a slow disk is quiet for
/// seconds only.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Longest line: the manifests of a large pex, 2,000 wheels and scripts, are some 300 kB.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// What is kept of its stderr, for the message when it dies.
const STDERR_BYTES_MAX: u64 = 4096;
/// Events that may wait for us; then the process waits.
const EVENTS_WAITING_MAX: usize = 64;
/// An installer maps one archive and inflates one file per thread; the rest is page cache, which is reclaimed first.
const MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Threads and, for byte code, Pythons: a few per core.
const PIDS_MAX: u32 = 512;

/// Least priority (setpriority(2)): runs when nothing else wants to.
const NICE_BACKGROUND: u8 = 19;
/// A tenth of everybody's (cgroup-v2.rst).
const CPU_WEIGHT_BACKGROUND: u32 = 10;

/// How urgent the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A deploy waits for it.
    Deploy,
    /// Nobody waits: least priority, a tenth of everybody's CPU weight.
    Background,
}

/// What the installer is, and how its processes are known.
#[derive(Clone, Debug)]
pub struct InstallerProgram {
    /// The executable, absolute: `/proc/self/exe`.
    pub path: PathBuf,
    /// Arguments that make it the installer: `install`.
    pub args: Vec<String>,
    /// The variable that marks every process of this supervisor; the only one that an installer gets.
    pub mark_variable: String,
    /// What its value starts with; the rest is unlike every other process's.
    pub mark_prefix: String,
}

/// Starts processes in `installer/` leaves. Clones share everything.
#[derive(Clone)]
pub struct Workshop {
    reaper: Reaper,
    tree: Arc<Tree>,
    installer: Arc<InstallerProgram>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum InstallerError {
    /// No leaf for it.
    #[error("make a cgroup for the installer")]
    Leaf(#[from] CgroupError),
    /// The command line or environment is impossible.
    #[error("describe the installer process")]
    Spec(#[from] BadSpec),
    /// It did not start.
    #[error("start the installer process")]
    Launch(#[from] LaunchError),
    /// It ended without an answer.
    #[error("hear from the installer, which {end}: {said:?}")]
    Died { end: End, said: String },
    /// It said nothing for too long, and was killed.
    #[error("hear from the installer within {} s; look at the disk's health", SILENCE_MAX.as_secs())]
    Silent,
    /// The runtime is going down.
    #[error("wait for the installer: the supervisor is shutting down")]
    ShuttingDown,
}

/// A process with its leaf, and what it has written.
struct Running {
    process: Process,
    lines: mpsc::Receiver<Vec<u8>>,
    said: tokio::task::JoinHandle<String>,
    leaf: OwnedLeaf,
}

/// Kills the processes in the leaf and removes it when dropped: also when whoever waits for the process gives up.
struct OwnedLeaf {
    leaf: Option<Leaf>,
    /// What a killed process leaves behind.
    staging: Option<PathBuf>,
}

impl Workshop {
    /// A workshop with this installer.
    pub fn new(reaper: Reaper, tree: Arc<Tree>, installer: InstallerProgram) -> Self {
        Self { reaper, tree, installer: Arc::new(installer) }
    }

    /// Runs one request; `on_progress` gets all events but the last, which is the answer.
    ///
    /// # Errors
    /// When there is no answer. The process and all its children are gone then.
    pub async fn run(
        &self,
        request: &Request,
        urgency: Urgency,
        mut on_progress: impl FnMut(Event),
    ) -> Result<Event, InstallerError> {
        let input = serde_json::to_vec(request).expect("plain data has a JSON form");
        let mut running = self.start(&self.installer.path, &self.installer.args, urgency, input).await?;
        running.leaf.staging = staging_of(request);
        while let Some(line) = running.next_line().await? {
            match serde_json::from_slice(&line) {
                Ok(event @ Event::Progress { .. }) => on_progress(event),
                Ok(answer) => return Ok(answer),
                // Not its own word: some library's print. The end tells if that mattered.
                Err(error) => tracing::debug!(%error, "the installer wrote what is no event"),
            }
        }
        Err(running.died().await)
    }

    /// Runs any program to its end and gives the last line that it prints: a wrapper script may print before it.
    ///
    /// # Errors
    /// When it prints nothing.
    pub async fn ask(&self, argv: &[String]) -> Result<Vec<u8>, InstallerError> {
        let mut running = self.start(argv[0].as_ref(), &argv[1..], Urgency::Deploy, Vec::new()).await?;
        let mut last = None;
        while let Some(line) = running.next_line().await? {
            last = Some(line).filter(|line| !line.trim_ascii().is_empty()).or(last);
        }
        match last {
            Some(line) => Ok(line),
            None => Err(running.died().await),
        }
    }

    async fn start(
        &self,
        path: &Path,
        args: &[String],
        urgency: Urgency,
        input: Vec<u8>,
    ) -> Result<Running, InstallerError> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let InstallerProgram { mark_variable, mark_prefix, .. } = &*self.installer;
        let env = BTreeMap::from([(mark_variable.clone(), format!("{mark_prefix}installer-{number}"))]);
        let program = Program { path: path.to_owned(), args: args.to_vec(), env, cwd: "/".into() };
        let workshop = self.clone();
        // A fork and a few cgroup files: milliseconds, but not on a thread of the runtime.
        let started = spawn_blocking(move || workshop.start_blocking(program, number, urgency)).await;
        let (piped, leaf) = started.map_err(|_| InstallerError::ShuttingDown)??;
        Ok(Running::listen(piped, leaf, input))
    }

    fn start_blocking(
        &self,
        program: Program,
        number: u64,
        urgency: Urgency,
    ) -> Result<(Piped, OwnedLeaf), InstallerError> {
        let name = LeafName::Install(number.into());
        let (nice, cpu_weight) = match urgency {
            Urgency::Deploy => (0, None),
            Urgency::Background => (NICE_BACKGROUND, Some(CPU_WEIGHT_BACKGROUND)),
        };
        let limits = Limits {
            memory_bytes_max: Some(MEMORY_BYTES_MAX),
            pids_max: Some(PIDS_MAX),
            cpu_weight,
            ..Limits::default()
        };
        let leaf = self.tree.create_leaf(&name, &limits)?;
        let spec = Spec::new(program)?.in_leaf(&leaf).with_nice(nice);
        let leaf = OwnedLeaf { leaf: Some(leaf), staging: None };
        Ok((self.reaper.spawn_piped(spec)?, leaf))
    }
}

impl Running {
    fn listen(piped: Piped, leaf: OwnedLeaf, input: Vec<u8>) -> Self {
        let Piped { process, mut stdin, stdout, stderr } = piped;
        let (sender, lines) = mpsc::channel(EVENTS_WAITING_MAX);
        spawn_blocking(move || {
            // If it does not read, it will not answer either, and that is what is told.
            let _ = stdin.write_all(&input);
            drop(stdin);
            let mut stdout = BufReader::new(stdout);
            let mut line = Vec::new();
            while stdout.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                if sender.blocking_send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        let said = spawn_blocking(move || {
            let mut said = Vec::new();
            let mut stderr = stderr;
            let _ = stderr.by_ref().take(STDERR_BYTES_MAX).read_to_end(&mut said);
            // A full pipe would stop it.
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
            String::from_utf8_lossy(&said).trim().to_owned()
        });
        Self { process, lines, said, leaf }
    }

    async fn next_line(&mut self) -> Result<Option<Vec<u8>>, InstallerError> {
        timeout(SILENCE_MAX, self.lines.recv()).await.map_err(|_| InstallerError::Silent)
    }

    async fn died(mut self) -> InstallerError {
        let Ok(end) = timeout(SILENCE_MAX, self.process.wait()).await else { return InstallerError::Silent };
        // A grandchild may hold stderr open: the leaf's end closes it.
        drop(self.leaf);
        InstallerError::Died { end, said: self.said.await.unwrap_or_default() }
    }
}

impl Drop for OwnedLeaf {
    fn drop(&mut self) {
        let (Some(leaf), staging) = (self.leaf.take(), self.staging.take()) else { return };
        let end = move || {
            if let Err(error) = leaf.kill().and_then(|()| leaf.remove()) {
                tracing::warn!(%error, "an installer's cgroup is left behind until the next start");
            }
            // It removes it itself, unless it was killed. What stays goes at the next start.
            let _ = staging.map(std::fs::remove_dir_all);
        };
        match tokio::runtime::Handle::try_current() {
            // The kill waits for the processes to be gone.
            Ok(runtime) => drop(runtime.spawn_blocking(end)),
            Err(_) => end(),
        }
    }
}

fn staging_of(request: &Request) -> Option<PathBuf> {
    match request {
        Request::Install(request) => Some(request.staging.clone()),
        Request::Compile(_) => None,
    }
}
