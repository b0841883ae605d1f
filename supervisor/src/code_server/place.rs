//! Where one generation lives on disk: its socket and its scratch directory. Made before the start, removed after the end.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::words::{EnvironmentName, GenerationNumber};

/// The paths of one generation.
#[derive(Clone, Debug)]
pub struct Place {
    /// Whose it is.
    pub environment: EnvironmentName,
    /// Which one.
    pub generation: GenerationNumber,
    /// Directory of the socket; nothing else is in it, so that its creation can be watched.
    pub run: PathBuf,
    /// What the code server binds.
    pub socket: PathBuf,
    /// HOME and TMPDIR.
    pub scratch: PathBuf,
}

impl Place {
    /// The place of a generation; nothing is made yet.
    pub fn of(state_dir: &Path, environment: &EnvironmentName, generation: GenerationNumber) -> Self {
        let under = |kind: &str| state_dir.join(kind).join(environment.short_hash()).join(generation.to_string());
        let run = under("run");
        let socket = run.join("s.sock");
        Self { environment: environment.clone(), generation, run, socket, scratch: under("scratch") }
    }

    /// Makes the directories.
    pub fn make(&self) -> io::Result<()> {
        fs::create_dir_all(&self.run)?;
        fs::create_dir_all(&self.scratch)
    }

    /// Removes the directories and all that the code server left in them.
    pub fn remove(&self) -> io::Result<()> {
        for path in [&self.run, &self.scratch] {
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
