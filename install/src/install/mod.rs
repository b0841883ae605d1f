//! One install request: choose the interpreter, then make what is missing: wheels, forests, manifests.
//!
//! Everything is made in the request's staging directory and published by rename, so another installer may do the
//! same at the same time, and this one may be killed at any instant.

mod choose;
mod layers;
mod layout;
mod record;
mod scripts;
mod summary;
mod wheels;

use std::{fs, io, path::Path};

use crate::{
    forest::FileMeetsDirectory,
    interpreter::Interpreter,
    manifest::{self, Manifest},
    pex::{Pex, PexError},
    request::{Artifact, Event, FailureKind, InstallRequest},
    tree::{self, TreeError},
};

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// An artifact is no pex that can be installed.
    #[error("install artifact {digest}")]
    Artifact {
        /// Its sha256.
        digest: String,
        /// What is wrong.
        source: PexError,
    },
    /// Two distributions cannot be merged, or an archive turned out corrupt.
    #[error("install artifact {digest}: {problem}")]
    Contents {
        /// Its sha256.
        digest: String,
        /// What is wrong, with all its causes.
        problem: String,
    },
    /// None of the interpreters fits.
    #[error("find an interpreter for these artifacts:{tried}")]
    NoInterpreter {
        /// One line for each interpreter: why not.
        tried: String,
    },
    /// The disk fails or is full.
    #[error("write an install: {problem}")]
    Disk {
        /// What the kernel says, with the path.
        problem: String,
        /// Whether room is missing.
        kind: FailureKind,
    },
}

impl InstallError {
    /// What kind of failure it is.
    pub fn kind(&self) -> FailureKind {
        match self {
            // A wheel file that is deflated in the pex is spilled to disk while the pex is opened.
            Self::Artifact { source, .. } if is_disk_full(source) => FailureKind::DiskFull,
            Self::Artifact { .. } | Self::Contents { .. } => FailureKind::BadArtifact,
            Self::NoInterpreter { .. } => FailureKind::NoInterpreter,
            Self::Disk { kind, .. } => *kind,
        }
    }

    fn of_tree(digest: &str, error: TreeError) -> Self {
        let problem = causes(&error);
        match error {
            TreeError::Zip(_) => Self::Contents { digest: digest.to_owned(), problem },
            TreeError::Write { source, .. } => Self::Disk { problem, kind: disk_kind(&source) },
        }
    }

    fn of_forest(digest: &str, error: &FileMeetsDirectory) -> Self {
        Self::Contents { digest: digest.to_owned(), problem: error.to_string() }
    }
}

fn disk_kind(error: &io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::DiskFull,
        _ => FailureKind::Internal,
    }
}

/// Whether a full disk is among the causes.
fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|cause| disk_kind(cause) == FailureKind::DiskFull))
}

/// An error and its causes as one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Does what `request` asks and gives the interpreter chosen and one manifest per artifact, in order. `tell` gets
/// [`Event::Progress`] now and then, from any thread. Blocks for up to seconds.
///
/// # Errors
/// See [`InstallError`]. The staging directory is gone either way.
pub fn install(
    request: &InstallRequest,
    tell: &(dyn Fn(Event) + Sync),
) -> Result<(Interpreter, Vec<Manifest>), InstallError> {
    let done = install_in(request, tell);
    // Best effort: the supervisor empties its tmp/ at start.
    let _ = fs::remove_dir_all(&request.staging);
    done
}

fn install_in(
    request: &InstallRequest,
    tell: &(dyn Fn(Event) + Sync),
) -> Result<(Interpreter, Vec<Manifest>), InstallError> {
    for dir in [&request.wheels, &request.installs, &request.staging] {
        tree::make_dir(dir).map_err(|error| InstallError::of_tree("", error))?;
    }
    let mut opened: Vec<Option<Pex>> = request.artifacts.iter().map(|_| None).collect();
    let choice = choose::choose(request, &mut opened)?;
    let mut manifests = Vec::new();
    for (at, artifact) in request.artifacts.iter().enumerate() {
        manifests.push(match choice.installed[at].clone() {
            Some(manifest) => manifest,
            None => {
                let pex = open(&mut opened, at, artifact, &request.staging)?;
                let staging = request.staging.join(at.to_string());
                layout::Layout {
                    request,
                    artifact,
                    pex,
                    chosen: &choice.dists[at],
                    interpreter: &choice.interpreter,
                    staging,
                }
                .install(tell)?
            }
        });
    }
    Ok((choice.interpreter, manifests))
}

/// The pex of artifact `at`, opened at most once.
fn open<'a>(
    opened: &'a mut [Option<Pex>],
    at: usize,
    artifact: &Artifact,
    spill: &Path,
) -> Result<&'a Pex, InstallError> {
    if opened[at].is_none() {
        let failed = |source| InstallError::Artifact { digest: artifact.digest.clone(), source };
        opened[at] = Some(Pex::open(&artifact.path, spill).map_err(failed)?);
    }
    Ok(opened[at].as_ref().expect("just opened"))
}

/// The manifest of an artifact's install for `interpreter`, if there is one that can be used.
fn installed(request: &InstallRequest, artifact: &Artifact, interpreter: &Interpreter) -> Option<Manifest> {
    let name = manifest::directory_name(&artifact.digest, &interpreter.key());
    let manifest = Manifest::load(&request.installs.join(name)).ok()?;
    let whole = manifest.wheels.iter().all(|wheel| {
        let tree = request.wheels.join(&wheel.key).join(&manifest.interpreter);
        tree.is_dir()
    });
    whole.then_some(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::ZipError;

    #[test]
    fn a_full_disk_is_never_the_artifacts_fault() {
        let wheel = |kind: io::ErrorKind| InstallError::Artifact {
            digest: "0".repeat(64),
            source: PexError::Wheel {
                name: "a.whl".into(),
                source: ZipError::ReadEntry { entry: ".deps/a.whl".into(), source: kind.into() },
            },
        };
        assert_eq!(wheel(io::ErrorKind::StorageFull).kind(), FailureKind::DiskFull);
        assert_eq!(wheel(io::ErrorKind::QuotaExceeded).kind(), FailureKind::DiskFull);
        assert_eq!(wheel(io::ErrorKind::UnexpectedEof).kind(), FailureKind::BadArtifact);
    }
}
