//! The words that the supervisor and the installer process exchange: one request in, events out.
//!
//! Nothing here acts. Every path is absolute; `wheels`, `installs` and `staging` are on one file system.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{interpreter::Interpreter, manifest::Manifest};

/// What an installer process is asked to do: one request per process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum Request {
    /// Install artifacts.
    Install(InstallRequest),
    /// Compile byte code.
    Compile(Box<CompileRequest>),
}

/// Choose one interpreter for all artifacts of a revision and install those that are not installed for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstallRequest {
    /// The revision's artifacts, in pex order. Already verified.
    pub artifacts: Vec<Artifact>,
    /// Probed interpreters in order of preference; the first that fits everything is chosen.
    pub interpreters: Vec<Interpreter>,
    /// `<state>/wheels`: installed wheels by key, shared by all installs. Made if missing.
    pub wheels: PathBuf,
    /// `<state>/installs`: the install becomes `<digest>.<interpreter key>` in it. Made if missing.
    pub installs: PathBuf,
    /// A directory of this request alone; made by the installer and removed at its end.
    pub staging: PathBuf,
}

/// A verified pex file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Artifact {
    /// Where its bytes are. Not opened when it is installed already for the chosen interpreter.
    pub path: PathBuf,
    /// The sha256 of its bytes, 64 lowercase hex digits.
    pub digest: String,
}

/// Compile what lacks byte code. May be killed at any time and asked again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompileRequest {
    /// The interpreter that the byte code is for.
    pub interpreter: Interpreter,
    /// Trees to compile in place: `wheels/<key>/<interpreter key>` and `installs/<…>/sources`. The first one that has
    /// a module is where it is imported from.
    pub trees: Vec<PathBuf>,
    /// Which of the modules in them.
    pub wanted: Wanted,
    /// Processes at once: from 1 to the number of cores.
    pub processes: usize,
}

/// Which modules to compile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// All, the most recently read ones first; then the trees are marked as compiled.
    Everything,
    /// These, by name, what they import when they are imported, and so on.
    ImportedBy(Vec<String>),
}

/// What an installer process says: any number of `Progress`, then exactly one of the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// How far it is.
    Progress {
        /// Files written (or compiled) so far.
        files: u64,
        /// Files in all, as far as known.
        files_total: u64,
        /// Wheels that were there already.
        wheels_cached: u64,
        /// Wheels in all.
        wheels_total: u64,
    },
    /// All artifacts are installed.
    Done {
        /// The interpreter chosen.
        interpreter: Box<Interpreter>,
        /// One manifest per artifact, in the request's order.
        manifests: Vec<Manifest>,
    },
    /// The compile request is done.
    Compiled {
        /// Files compiled now.
        compiled: u64,
        /// Files that Python could not compile; they are left as they are.
        broken: u64,
    },
    /// Nothing of the request is installed, except wheels in the shared cache.
    Failed {
        /// For a program.
        kind: FailureKind,
        /// For a person: what failed and what to do.
        message: String,
    },
}

/// The kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Not a pex that can be installed.
    BadArtifact,
    /// No interpreter fits.
    NoInterpreter,
    /// No space on the device, or a quota.
    DiskFull,
    /// A defect, a failing disk, or a request that makes no sense.
    Internal,
}
