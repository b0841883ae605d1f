//! The state directory: held by one supervisor at a time, and cleared at start of what only a running one needs.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};

/// What a former supervisor leaves behind and no one needs: sockets and scratch of code servers that are dead by now.
const CLEARED_AT_START: [&str; 3] = ["run", "scratch", "doors"];

/// Code servers under other users pass through to their own directories and cannot list this one.
const STATE_DIR_MODE: u32 = 0o711;
/// The control socket's directory lets nobody pass.
const CONTROL_DIR_MODE: u32 = 0o700;

/// The directory, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: Flock<File>,
}

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// A file operation failed.
    #[error("{operation} {path}; check that it is on a writable disk")]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Two supervisors would fight over processes and files.
    #[error("hold {path}: another pexvisor runs on this state directory; stop it, or give --state-dir another one")]
    Held { path: PathBuf },
}

impl StateDir {
    /// Makes the directory if it is not there and locks it.
    pub fn hold(path: &Path) -> Result<Self, StateDirError> {
        make(path, STATE_DIR_MODE)?;
        let lock = path.join("lock");
        let file = File::options().create(true).append(true).open(&lock).map_err(failed("open", &lock))?;
        let held = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let lock = held.map_err(|_| StateDirError::Held { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Removes what former code servers left. Their processes must be dead.
    pub fn clear(&self) -> Result<(), StateDirError> {
        for name in CLEARED_AT_START {
            let path = self.path.join(name);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &path)(error)),
                _ => make(&path, STATE_DIR_MODE)?,
            }
        }
        make(&self.path.join("control"), CONTROL_DIR_MODE)
    }
}

fn make(path: &Path, mode: u32) -> Result<(), StateDirError> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(failed("create", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateDirError {
    let path = path.into();
    move |source| StateDirError::Io { operation, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_supervisor_on_one_state_directory_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = StateDir::hold(dir.path()).expect("nobody holds it");
        assert!(matches!(StateDir::hold(dir.path()), Err(StateDirError::Held { .. })));
        drop(first);
        assert!(StateDir::hold(dir.path()).is_ok());
    }

    #[test]
    fn what_dead_code_servers_left_is_cleared_and_the_journal_kept() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["run/x/1", "scratch/x/1", "environments"] {
            fs::create_dir_all(dir.path().join(name)).expect("a fresh directory");
        }
        StateDir::hold(dir.path()).expect("free").clear().expect("writable");
        assert!(!dir.path().join("run/x").exists() && !dir.path().join("scratch/x").exists());
        assert!(dir.path().join("environments").exists());
    }
}
