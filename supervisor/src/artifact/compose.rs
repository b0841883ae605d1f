//! Venvs: one per ordered list of installs and interpreter, made once, published by rename.
//!
//! What is in a venv is the install crate's business.

use std::{fs, io, path::PathBuf};

use pexvisor_install::{
    Interpreter,
    venv::{self, Installed, VenvError},
};

use super::{fetch::with_causes, install::venv_key, places::Places};
use crate::words::{Failure, FailureReason};

/// In a venv: the digests of its artifacts, one a line, for the sweep.
pub const DIGESTS_FILE: &str = "pexvisor-artifacts";

/// Installs and the venv that puts them together.
#[derive(Clone, Debug)]
pub struct Composition {
    /// The venv's directory.
    pub venv: PathBuf,
    /// What it runs on.
    pub interpreter: Interpreter,
    /// What is in it, in pex order.
    pub installs: Vec<Installed>,
}

/// The composition, if its venv is there.
pub fn cached(places: &Places, interpreter: &Interpreter, installs: Vec<Installed>) -> Option<Composition> {
    let venv = places.venvs.join(venv_key(interpreter, &installs));
    venv.join(DIGESTS_FILE).exists().then(|| Composition { venv, interpreter: interpreter.clone(), installs })
}

/// Makes the venv, unless it is there.
///
/// # Errors
/// A full or failing disk.
pub async fn compose(
    places: &Places,
    interpreter: Interpreter,
    installs: Vec<Installed>,
) -> Result<Composition, Failure> {
    let staging = places.staging("venv");
    let venv = places.venvs.join(venv_key(&interpreter, &installs));
    let composition = Composition { venv, interpreter, installs };
    let making = composition.clone();
    let made = tokio::task::spawn_blocking(move || {
        let made = make(&making, &staging);
        if made.is_err() {
            // Best effort: tmp/ is emptied at the next start.
            let _ = fs::remove_dir_all(&staging);
        }
        made
    })
    .await;
    let made = made.map_err(|error| Failure::new(FailureReason::Internal, error))?;
    made.map_err(|error| failure(&error))?;
    Ok(composition)
}

fn make(composition: &Composition, staging: &PathBuf) -> Result<(), VenvError> {
    let Composition { venv, interpreter, installs } = composition;
    if venv.join(DIGESTS_FILE).exists() {
        return Ok(());
    }
    venv::compose(interpreter, installs, staging, venv)?;
    let write = |path: &PathBuf| {
        let path = path.clone();
        move |source| VenvError::Write { path, source }
    };
    let digests: String = installs.iter().map(|installed| format!("{}\n", installed.manifest.digest)).collect();
    let file = staging.join(DIGESTS_FILE);
    fs::write(&file, digests).map_err(write(&file))?;
    match fs::rename(staging, venv) {
        // Another made the same meanwhile: one name means one content.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            fs::remove_dir_all(staging).map_err(write(staging))
        }
        renamed => renamed.map_err(write(venv)),
    }
}

fn failure(error: &VenvError) -> Failure {
    let full = |source: &io::Error| matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let reason = match error {
        VenvError::Write { source, .. } if full(source) => FailureReason::DiskFull,
        VenvError::Write { .. } | VenvError::Path { .. } => FailureReason::Internal,
    };
    Failure::new(reason, format_args!("failed to {}", with_causes(error)))
}
