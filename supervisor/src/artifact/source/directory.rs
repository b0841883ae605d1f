//! A store that is a directory of this machine: a mounted volume, or the folder that `pexctl push` copies to.

use std::{fs::File, io, os::unix::fs::OpenOptionsExt as _, path::Path};

use nix::libc;

use super::SourceError;
use crate::artifact::staging::Staging;

/// Copies this file. It may change under us, or be the writer's to change later: the copy is ours, and what is hashed
/// is the copy.
pub async fn fill(path: &Path, staging: &Staging) -> Result<(), SourceError> {
    let at = path.display().to_string();
    // The open of a network file system may take long: not on a thread of the runtime.
    let opening = path.to_owned();
    let file = crate::artifact::staging::on_disk(move || Ok(open(&opening))).await?;
    let file = file.map_err(|error| unreadable(error, &at))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(staging.copy_from(file).await?),
        Ok(_) => Err(SourceError::NotAFile { at }),
        Err(source) => Err(SourceError::Unreadable { at, source }),
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK the open of a FIFO waits for a writer.
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)
}

fn unreadable(source: io::Error, at: &str) -> SourceError {
    let at = at.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SourceError::NotFound { at, status: None },
        io::ErrorKind::PermissionDenied => SourceError::Forbidden { at, status: None },
        _ => SourceError::Unreadable { at, source },
    }
}
