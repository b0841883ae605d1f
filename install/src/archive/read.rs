//! Reading one entry: its local header must agree, its data must keep its place, inflate to its size, have its CRC.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use libdeflater::Decompressor;
use rawzip::ReaderAt as _;

use super::{
    Archive, Entry, EntryProblem, Method, Source, ZipError, limits::LARGE_ENTRY_BYTES, listing::LOCAL_HEADER_BYTES,
};

/// `PK\3\4`.
const LOCAL_SIGNATURE: [u8; 4] = [0x50, 0x4b, 3, 4];

/// Local flag bit 0.
const ENCRYPTED: u16 = 1;

/// Bytes of extra field for which the first read has room: one read is then enough. zipfile writes none.
const EXTRA_FIELD_GUESS: u64 = 32;

/// Taken while a large entry is in memory, so that there is never more than one.
static LARGE_ENTRY: Mutex<()> = Mutex::new(());

/// Buffers and a decompressor for one thread.
pub struct EntryReader {
    stored: Vec<u8>,
    inflated: Vec<u8>,
    decompressor: Decompressor,
}

impl Default for EntryReader {
    fn default() -> Self {
        Self { stored: Vec::new(), inflated: Vec::new(), decompressor: Decompressor::new() }
    }
}

impl EntryReader {
    /// Reads the file `entry` of `archive`, checks it, and gives its bytes to `take`.
    ///
    /// # Errors
    /// When the entry is not what the directory says.
    pub fn with<T>(&mut self, archive: &Archive, entry: &Entry, take: impl FnOnce(&[u8]) -> T) -> Result<T, ZipError> {
        let large = entry.size.max(entry.stored_size) >= LARGE_ENTRY_BYTES;
        // The lock guards memory, not data: a panic of another thread changes nothing.
        let _one = large.then(|| LARGE_ENTRY.lock().unwrap_or_else(PoisonError::into_inner));
        let taken = self.checked(archive, entry).map(take);
        if large {
            (self.stored, self.inflated) = (Vec::new(), Vec::new());
        }
        taken
    }

    /// Gives the entry's bytes as they are stored to `take`: for a key, without inflating.
    ///
    /// # Errors
    /// When the local header disagrees or the file cannot be read.
    pub fn with_stored<T>(
        &mut self,
        archive: &Archive,
        entry: &Entry,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, ZipError> {
        let large = entry.stored_size >= LARGE_ENTRY_BYTES;
        let _one = large.then(|| LARGE_ENTRY.lock().unwrap_or_else(PoisonError::into_inner));
        let taken = self.read_stored(archive, entry).map(|range| take(&self.stored[range]));
        if large {
            self.stored = Vec::new();
        }
        taken
    }

    fn checked(&mut self, archive: &Archive, entry: &Entry) -> Result<&[u8], ZipError> {
        let range = self.read_stored(archive, entry)?;
        let stored = &self.stored[range];
        let bytes = match entry.method {
            Method::Stored => stored,
            Method::Deflated => {
                // Fits: limited to ENTRY_BYTES_MAX when the archive was opened.
                self.inflated.resize(usize::try_from(entry.size).unwrap_or(usize::MAX), 0);
                let inflated = self.decompressor.deflate_decompress(stored, &mut self.inflated);
                if inflated.ok() != Some(self.inflated.len()) {
                    return Err(entry.refuse(EntryProblem::Size));
                }
                &self.inflated
            }
        };
        if libdeflater::crc32(bytes) == entry.crc { Ok(bytes) } else { Err(entry.refuse(EntryProblem::Crc)) }
    }

    /// Reads header and data into `self.stored`, and tells where in it the data is.
    fn read_stored(&mut self, archive: &Archive, entry: &Entry) -> Result<std::ops::Range<usize>, ZipError> {
        let failed = |source| ZipError::ReadEntry { entry: entry.path.to_string(), source };
        let fixed = LOCAL_HEADER_BYTES + entry.path.len() as u64;
        let room = (fixed + 1 + EXTRA_FIELD_GUESS + entry.stored_size).min(entry.end_max - entry.header_offset);
        self.fill(archive, entry, room).map_err(failed)?;
        let data_offset = check_local_header(&self.stored, entry).map_err(|problem| entry.refuse(problem))?;
        let end = data_offset + entry.stored_size;
        if entry.header_offset + end > entry.end_max {
            return Err(entry.refuse(EntryProblem::Overlap));
        }
        if end > room {
            self.fill(archive, entry, end).map_err(failed)?;
        }
        Ok(data_offset as usize..end as usize)
    }

    fn fill(&mut self, archive: &Archive, entry: &Entry, len: u64) -> io::Result<()> {
        self.stored.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        archive.source.read_exact_at(&mut self.stored, entry.header_offset)
    }
}

impl Archive {
    /// The bytes of entry `at` as an archive of their own: a wheel file inside a pex. A stored one is read in
    /// place; a deflated one is inflated into a nameless file in `spill`, so that memory stays bounded.
    ///
    /// # Errors
    /// When the entry is not what the directory says, or not a zip.
    pub fn nested(&self, at: usize, reader: &mut EntryReader, spill: &Path) -> Result<Self, ZipError> {
        let entry = &self.entries[at];
        let failed = |source| ZipError::ReadEntry { entry: entry.path.to_string(), source };
        let source = match entry.method {
            Method::Stored => {
                let range = reader.read_stored(self, entry)?;
                let start = entry.header_offset + range.start as u64;
                self.source.part(start, entry.stored_size)
            }
            Method::Deflated => reader.with(self, entry, |bytes| spilled(bytes, spill))?.map_err(failed)?,
        };
        Self::from_source(source)
    }
}

fn spilled(bytes: &[u8], dir: &Path) -> io::Result<Source> {
    let path = dir.join("nested.whl");
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    file.write_all_at(bytes, 0)?;
    Ok(Source::whole(file, bytes.len() as u64))
}

/// Compares the local header in `bytes` with the directory's word; gives the offset of the data after it.
fn check_local_header(bytes: &[u8], entry: &Entry) -> Result<u64, EntryProblem> {
    let field = |at: usize| bytes.get(at..at + 2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let (Some(flags), Some(method), Some(name_len), Some(extra_len)) = (field(6), field(8), field(26), field(28))
    else {
        return Err(EntryProblem::LocalHeader);
    };
    if bytes.get(..4) != Some(&LOCAL_SIGNATURE[..]) {
        return Err(EntryProblem::LocalHeader);
    }
    if flags & ENCRYPTED != 0 {
        return Err(EntryProblem::Encrypted);
    }
    let header = LOCAL_HEADER_BYTES as usize;
    let name = bytes.get(header..header + usize::from(name_len)).ok_or(EntryProblem::LocalHeader)?;
    let same_name = name.strip_suffix(b"/").unwrap_or(name) == entry.path.as_bytes();
    let same_method = method == if entry.method == Method::Stored { 0 } else { 8 };
    if !same_name || !same_method {
        return Err(EntryProblem::LocalHeader);
    }
    Ok(LOCAL_HEADER_BYTES + u64::from(name_len) + u64::from(extra_len))
}
