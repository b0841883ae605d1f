//! What the two servers under test have in common, so that one piece of code measures both.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    address::Target,
    call::{CallError, Connection},
    pexes::Pair,
    process::Server,
    results::Side,
};

/// Errors of a run go to a person, as text.
pub type Failure = Box<dyn std::error::Error>;

/// A door that is not open yet is tried again after this; it bounds the error of `ready`.
pub const DOOR_RETRY: Duration = Duration::from_millis(1);

/// The name of the one environment or location.
pub const LOCATION: &str = "bench";

/// A server that does not get there in this time has failed; the peer's first deploy takes about 25 s on 2 cores.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Pause between calls to a code server that is not there yet.
const ANSWER_RETRY: Duration = Duration::from_millis(20);

const LIST_REPOSITORIES: &str = "/api.DagsterApi/ListRepositories";
const SERVER_ID: &str = "/api.DagsterApi/GetServerId";

/// Where things are on this machine.
pub struct Ground {
    /// `target/bench`, as `setup.sh` made it.
    pub folder: PathBuf,
    /// The folder with the programs built from this workspace.
    pub programs: PathBuf,
    /// Which of the two servers take part.
    pub sides: Vec<Side>,
    /// Folders given so far.
    pub folders: AtomicUsize,
}

impl Ground {
    /// A new folder for one server's files. Nothing is deleted before the end of the run: see `settle`.
    pub fn fresh(&self, name: &str) -> std::io::Result<PathBuf> {
        let number = self.folders.fetch_add(1, Ordering::Relaxed);
        let folder = self.runs().join(format!("{name}-{number}"));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Deletes all folders of runs, with the servers' logs.
    pub fn clear(&self) -> std::io::Result<()> {
        let runs = self.runs();
        if runs.exists() { fs::remove_dir_all(runs) } else { Ok(()) }
    }

    /// Where the servers' files and logs are.
    fn runs(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Waits until the file system has written everything back and forgotten what was deleted. ext4 takes no inode that
    /// was freed within the last minute, and looks at all of those again for each new file (`recently_deleted` in
    /// fs/ext4/ialloc.c): an install right after somebody's mass deletion takes five times as long.
    pub async fn settle(&self) {
        nix::unistd::sync();
        tokio::time::sleep(INODES_FORGOTTEN_AFTER).await;
    }

    /// Whether this server is to be measured.
    pub fn takes_part(&self, side: Side) -> bool {
        self.sides.contains(&side)
    }

    /// A program of this workspace.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Where a server's output goes.
    pub fn log(&self, name: &str) -> PathBuf {
        self.runs().join(format!("{name}.log"))
    }
}

/// `RECENTCY_MIN` of fs/ext4/ialloc.c, and some.
const INODES_FORGOTTEN_AFTER: Duration = Duration::from_secs(62);

/// One of the two, running.
pub trait Contender: Sized {
    /// As in the results.
    const SIDE: Side;
    /// The same, for folders and progress.
    const NAME: &'static str;

    /// Starts on an empty state and returns when the control door answers.
    async fn start(ground: &Ground) -> Result<Self, Failure>;

    /// From the start of the process to the first answer of the control door.
    fn ready(&self) -> Duration;

    /// The process.
    fn server(&self) -> &Server;

    /// Puts the files where the server looks for them. Not on the clock.
    fn place(&self, pair: &Pair) -> Result<(), Failure>;

    /// Sends the deploy; returns where to call when a call may be tried.
    async fn deploy(&mut self, pair: &Pair) -> Result<Target, Failure>;

    /// Ends what the last deploy replaced, if the server does not do that itself. Not on the clock.
    async fn retire_replaced(&mut self) -> Result<(), Failure>;

    /// Stops it and whatever it leaves.
    async fn end(self);
}

/// Calls until an answer carries the marker.
pub async fn until_marker(target: &Target, marker: &str) -> Result<(), Failure> {
    let asked = Instant::now();
    let mut last = String::from("no answer");
    while asked.elapsed() < PATIENCE {
        match list_repositories(target).await {
            Ok(answer) if contains(&answer, marker.as_bytes()) => return Ok(()),
            Ok(answer) => last = String::from_utf8_lossy(&answer).into_owned(),
            Err(failure) => last = failure.to_string(),
        }
        tokio::time::sleep(ANSWER_RETRY).await;
    }
    Err(format!("no answer with {marker:?} in {PATIENCE:?}; the last: {last}").into())
}

/// What tells one generation of a code server from the next.
pub async fn server_id(target: &Target) -> Result<Bytes, CallError> {
    Connection::open(target).await?.call(SERVER_ID, &Bytes::new()).await
}

async fn list_repositories(target: &Target) -> Result<Bytes, CallError> {
    Connection::open(target).await?.call(LIST_REPOSITORIES, &Bytes::new()).await
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Environment variables for the code servers of both: what the peer's own code servers get, and the folder for
/// Dagster's instance that they then need. So they do the same work on both sides.
pub fn code_server_environment(ground: &Ground, home: &Path) -> std::io::Result<Vec<(String, String)>> {
    let dagster_home = home.join("dagster-home");
    fs::create_dir_all(&dagster_home)?;
    let pairs = [
        ("DAGSTER_HOME", dagster_home.display().to_string()),
        ("DAGSTER_INJECT_ENV_VARS_FROM_INSTANCE", "1".to_owned()),
        ("DAGSTER_CLI_API_GRPC_LAZY_LOAD_USER_CODE", "1".to_owned()),
        ("BENCH_ECHO_SERVER", ground.program("pexvisor-bench").display().to_string()),
    ];
    Ok(pairs.map(|(name, value)| (name.to_owned(), value)).into())
}

/// The Python environment of the peer.
pub fn venv_bin(folder: &Path) -> PathBuf {
    folder.join("venv/bin")
}
