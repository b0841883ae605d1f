//! Where an archive's bytes are: in a file, or in a part of one (a wheel stored in a pex).

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use rawzip::ReaderAt;

/// Bytes that can be read at any offset by many threads at once: `len` of them from `start` of a file.
#[derive(Clone, Debug)]
pub struct Source {
    file: Arc<File>,
    start: u64,
    len: u64,
}

impl Source {
    /// The whole of the file at `path`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self::whole(file, len))
    }

    /// The first `len` bytes of an open file.
    pub(super) fn whole(file: File, len: u64) -> Self {
        Self { file: Arc::new(file), start: 0, len }
    }

    /// Bytes in all.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// `len` bytes of it from `start`; the caller has checked that they lie inside.
    pub(super) fn part(&self, start: u64, len: u64) -> Self {
        Self { file: self.file.clone(), start: self.start + start, len }
    }
}

impl ReaderAt for Source {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(left) = self.len.checked_sub(offset) else { return Ok(0) };
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.read_at(&mut buffer[..wanted], self.start + offset)
    }
}
