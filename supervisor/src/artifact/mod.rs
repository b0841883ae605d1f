//! Artifacts on disk: fetched, verified, installed, composed, and swept when the disk fills up.
//!
//! [`Artifacts`] is the face; everything else is behind it. Parses no byte of an artifact itself: that is the installer
//! process's work.

mod compile;
mod compose;
mod fetch;
mod flight;
mod holds;
mod install;
mod installer;
mod interpreters;
mod places;
mod prepare;
mod source;
mod staging;
mod store;
mod sweep;
#[cfg(test)]
mod tests;
mod writeback;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use pexvisor_install::{Interpreter, Manifest};
use pexvisor_sandbox::cgroup::Tree;

pub use holds::Hold;
pub use installer::InstallerProgram;
pub use prepare::Progress;
pub use store::Store;
pub use sweep::Usage;

use self::{
    compile::ByteCode,
    compose::Composition,
    fetch::Fetch,
    holds::Holds,
    install::Install,
    installer::Workshop,
    interpreters::Interpreters,
    places::Places,
    sweep::{Depth, Sweep},
    writeback::Writeback,
};
use crate::{
    init::Reaper,
    metrics::ArtifactMetrics,
    words::{CommandKind, Digest},
};

/// What the artifact layer is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The state directory, absolute.
    pub state_dir: PathBuf,
    /// Where artifacts come from.
    pub store: Store,
    /// Bytes that artifacts, installs, wheels and venvs may take together; half of the disk, at most 20 GiB, if `None`.
    pub cache_bytes_max: Option<u64>,
    /// The interpreters to offer to artifacts; those on PATH and in the usual directories if there are none.
    pub interpreters: Vec<PathBuf>,
    /// The installer.
    pub installer: InstallerProgram,
}

/// The face of this layer. Clones share everything.
#[derive(Clone)]
pub struct Artifacts {
    inner: Arc<Inner>,
}

struct Inner {
    places: Places,
    store: Store,
    holds: Holds,
    interpreters: Interpreters,
    fetch: Arc<Fetch>,
    install: Arc<Install>,
    sweep: Arc<Sweep>,
    byte_code: ByteCode,
    writeback: Arc<Writeback>,
    metrics: ArtifactMetrics,
}

/// Everything that a code server needs of its artifacts, on disk and held there as long as this lives.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The venv.
    pub venv: PathBuf,
    /// The Python to run, `<venv>/bin/python`.
    pub python: PathBuf,
    /// What each artifact holds, in pex order.
    pub manifests: Vec<Manifest>,
    /// Directories of user code, in pex order: the last one comes first on `sys.path`.
    pub sources: Vec<PathBuf>,
    /// The folder that Dagster's own packing makes the working directory, if the last artifact with user code has it.
    pub working_directory_root: Option<PathBuf>,
    /// How long the fetch took.
    pub fetch_time: Duration,
    /// How long the install, the composition and byte code before the start took.
    pub install_time: Duration,
    composition: Arc<Composition>,
    _hold: Arc<Hold>,
}

/// What is on disk, and what can run it.
#[derive(Clone, Debug)]
pub struct Description {
    /// The store.
    pub store: String,
    /// Counts, bytes and the quota, as of the last sweep; a sweep follows every install.
    pub usage: Usage,
    /// Bytes swept since the start.
    pub bytes_freed: u64,
    /// Interpreters found, best first; empty while they are being looked for.
    pub interpreters: Vec<Interpreter>,
}

impl Artifacts {
    /// Makes the folders, empties `tmp/`, and starts what goes on in the background: the search for interpreters, byte
    /// code. Takes a few milliseconds. Call it in a runtime, once per state directory.
    ///
    /// # Errors
    /// When the state directory cannot be used.
    pub fn start(config: Config, reaper: Reaper, tree: Arc<Tree>, metrics: ArtifactMetrics) -> io::Result<Self> {
        let places = Places::below(&config.state_dir);
        places.all().iter().try_for_each(fs::create_dir_all)?;
        let writeback = Arc::new(Writeback::start(&places, &config.state_dir)?);
        empty(&places)?;
        let bytes_max = config.cache_bytes_max.map_or_else(|| sweep::default_bytes_max(&config.state_dir), Ok)?;
        let workshop = Workshop::new(reaper, tree, config.installer);
        let interpreters = Interpreters::look_for(workshop.clone(), config.interpreters);
        let holds = Holds::default();
        let install = Install::new(places.clone(), workshop.clone(), interpreters.clone());
        let sweep = Sweep::new(places.clone(), holds.clone(), install.wheels.clone(), bytes_max);
        let inner = Inner {
            fetch: Fetch::new(places.clone(), bytes_max, metrics.clone()),
            byte_code: ByteCode::start(
                workshop,
                sweep.clone(),
                writeback.clone(),
                metrics.compile_before_start_max.clone(),
            ),
            metrics,
            writeback,
            store: config.store,
            places,
            holds,
            interpreters,
            install,
            sweep,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Keeps these artifacts, and what is made of them, on disk until the hold is dropped: of each environment the
    /// serving, the previous and the deploying revision's.
    pub fn hold(&self, digests: impl IntoIterator<Item = Digest>) -> Hold {
        self.inner.holds.hold(digests)
    }

    /// Makes the byte code that a start with this command will want, if its dependencies are new. That counts as a part
    /// of the install.
    pub async fn compile_before_start(&self, prepared: &mut Prepared, command: &CommandKind) {
        let started = Instant::now();
        self.inner.byte_code.before_start(&self.inner.places, &prepared.composition, command).await;
        prepared.install_time += started.elapsed();
    }

    /// Makes the byte code that this lacks, in the background. After a deploy, call it when the code server is READY: what
    /// it has read since tells which files come first.
    pub fn compile_later(&self, prepared: &Prepared) {
        let hold = self.hold(prepared.digests());
        self.inner.byte_code.later(&self.inner.places, &prepared.composition, hold);
    }

    /// What there is.
    pub fn describe(&self) -> Description {
        Description {
            store: self.inner.store.to_string(),
            usage: self.inner.sweep.usage(),
            bytes_freed: self.inner.sweep.bytes_freed(),
            interpreters: self.inner.interpreters.known(),
        }
    }

    /// Makes room in the background, if the cache is over its quota.
    pub fn sweep_later(&self) {
        let sweep = self.inner.sweep.clone();
        tokio::spawn(async move { sweep.sweep(Depth::Quota).await });
    }
}

impl Prepared {
    /// The script with this name, if one of the artifacts has it.
    pub fn script(&self, name: &str) -> Option<PathBuf> {
        let known = self.manifests.iter().any(|manifest| manifest.scripts.contains_key(name));
        known.then(|| self.venv.join("bin").join(name)).filter(|script| script.exists())
    }

    /// Whether `<venv>/__main__.py` has something to run.
    pub fn has_entry_point(&self) -> bool {
        self.manifests.iter().any(|manifest| manifest.entry_point.is_some() || manifest.script.is_some())
    }

    fn digests(&self) -> impl Iterator<Item = Digest> {
        self.manifests.iter().filter_map(|manifest| manifest.digest.parse().ok())
    }
}

/// Empties `tmp/` without waiting for it: what is in it is renamed aside and deleted in the background.
fn empty(places: &Places) -> io::Result<()> {
    let aside = |number: u32| places.tmp.with_extension(number.to_string());
    let free = (0..).map(aside).find(|path| !path.exists()).expect("there are more numbers than folders");
    fs::rename(&places.tmp, free)?;
    fs::create_dir(&places.tmp)?;
    let tmp = places.tmp.clone();
    tokio::task::spawn_blocking(move || remove_beside(&tmp));
    Ok(())
}

/// Removes `tmp.0`, `tmp.1`, … of this and of earlier starts.
fn remove_beside(tmp: &Path) {
    for number in 0.. {
        let garbage = tmp.with_extension(number.to_string());
        if !garbage.exists() {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&garbage) {
            tracing::warn!(%error, path = %garbage.display(), "garbage is left until the next start");
            return;
        }
    }
}
