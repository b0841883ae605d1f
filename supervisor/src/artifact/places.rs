//! Where the artifact layer keeps its files, below the state directory.
//!
//! Names only; nothing is created or read here.

use std::{
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use pexvisor_install::Interpreter;

use crate::words::Digest;

/// The folders of the artifact layer.
#[derive(Clone, Debug)]
pub struct Places {
    /// Verified files, `<sha256>.pex`.
    pub artifacts: PathBuf,
    /// Installed wheels, `<key>/<interpreter>/`.
    pub wheels: PathBuf,
    /// Installed pexes, `<sha256>.<interpreter>/`.
    pub installs: PathBuf,
    /// Compositions of installs, `<key>/`.
    pub venvs: PathBuf,
    /// Artifacts that a crash of the machine may have damaged: to be hashed again.
    pub suspects: PathBuf,
    /// Staging: everything in it is garbage at start.
    pub tmp: PathBuf,
}

impl Places {
    /// The folders below this state directory.
    pub fn below(state_dir: &Path) -> Self {
        Self {
            artifacts: state_dir.join("artifacts"),
            wheels: state_dir.join("wheels"),
            installs: state_dir.join("installs"),
            venvs: state_dir.join("venvs"),
            suspects: state_dir.join("suspects"),
            tmp: state_dir.join("tmp"),
        }
    }

    /// Those that are always there.
    pub fn all(&self) -> [&Path; 5] {
        [&self.artifacts, &self.wheels, &self.installs, &self.venvs, &self.tmp]
    }

    /// The file of this artifact, if it is a suspect.
    pub fn suspect(&self, digest: Digest) -> PathBuf {
        self.suspects.join(format!("{digest}.pex"))
    }

    /// The directory of this artifact's install.
    pub fn install(&self, digest: Digest, interpreter: &Interpreter) -> PathBuf {
        self.installs.join(format!("{digest}.{}", interpreter.key()))
    }

    /// A new path in `tmp/`; nothing is there yet.
    pub fn staging(&self, what: &str) -> PathBuf {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        self.tmp.join(format!("{what}.{}.{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)))
    }

    /// The file of this artifact.
    pub fn artifact(&self, digest: Digest) -> PathBuf {
        self.artifacts.join(format!("{digest}.pex"))
    }
}
