//! How much disk a tree takes; measured once, because nothing that is published changes by itself.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Bytes of one block in `st_blocks` (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// Trees measured so far.
#[derive(Debug, Default)]
pub struct Sizes {
    measured: HashMap<PathBuf, u64>,
}

impl Sizes {
    /// Bytes on disk of this tree; 0 of one that is gone.
    pub fn of(&mut self, tree: &Path) -> u64 {
        if let Some(bytes) = self.measured.get(tree) {
            return *bytes;
        }
        let bytes = measure(tree).unwrap_or(0);
        self.measured.insert(tree.to_owned(), bytes);
        bytes
    }

    /// This tree has changed or is gone.
    pub fn forget(&mut self, tree: &Path) {
        self.measured.remove(tree);
    }
}

fn measure(tree: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(tree)?;
    let mut bytes = metadata.blocks() * BLOCK_BYTES;
    if metadata.is_dir() {
        for entry in fs::read_dir(tree)? {
            bytes += measure(&entry?.path())?;
        }
    }
    Ok(bytes)
}
