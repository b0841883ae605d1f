//! A zip file that may be hostile, opened: every entry's name, kind and place checked before a byte is used.
//!
//! It knows nothing of pexes or wheels. It writes nothing. Contents are checked (size, CRC) when they are read.

mod limits;
mod listing;
mod names;
mod read;
mod source;

use std::sync::Arc;

pub use limits::{BYTES_MAX, ENTRIES_MAX, ENTRY_BYTES_MAX};
pub use read::EntryReader;
pub use source::Source;

/// An opened zip file.
#[derive(Debug)]
pub struct Archive {
    source: Source,
    entries: Vec<Entry>,
}

/// One file or directory in it, as the central directory tells.
#[derive(Clone, Debug)]
pub struct Entry {
    /// A checked relative path without a trailing slash: no `..`, no empty part, no backslash, no NUL.
    pub path: Arc<str>,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes when inflated; claimed, and checked when read.
    pub size: u64,
    /// CRC-32 of the inflated bytes; claimed, and checked when read.
    pub crc: u32,
    method: Method,
    stored_size: u64,
    header_offset: u64,
    /// Where the next entry or the directory begins: its data ends before.
    end_max: u64,
}

/// The kinds of entries that are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file without execute permission.
    File,
    /// A regular file with it.
    Executable,
    /// A directory.
    Directory,
}

/// The compression methods that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Stored,
    Deflated,
}

/// The file is refused. Every message that concerns an entry names it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ZipError {
    #[error("read the file")]
    Read(#[source] std::io::Error),
    #[error("find a zip directory in it: the file is no zip, or it is truncated")]
    NoDirectory,
    #[error("read its zip directory, which is corrupt or truncated")]
    Corrupt(#[source] rawzip::Error),
    #[error("accept it: {found} entries, the limit is {}", ENTRIES_MAX)]
    TooManyEntries { found: u64 },
    #[error("accept it: it says that it has {said} entries and has {found}")]
    EntryCount { said: u64, found: u64 },
    #[error("accept it: it inflates to {found} bytes, the limit is {limit}")]
    TooLarge { found: u64, limit: u64 },
    #[error("accept entry {entry:?}: {problem}")]
    Entry { entry: String, problem: EntryProblem },
    #[error("read entry {entry:?}")]
    ReadEntry { entry: String, source: std::io::Error },
}

/// Why an entry is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EntryProblem {
    #[error("its path leaves the archive (`..`, or absolute)")]
    Escapes,
    #[error("its path has a backslash, a NUL or a control character, or is not UTF-8")]
    BadCharacter,
    #[error("its path has an empty part or a `.`")]
    EmptyPart,
    #[error("its path is too long or too deep")]
    TooDeep,
    #[error("its path is listed twice")]
    Duplicate,
    #[error("it is a file, and another entry needs it to be a directory")]
    FileIsDirectory,
    #[error("it is neither a regular file nor a directory (a symbolic link or device)")]
    Special,
    #[error("it is encrypted")]
    Encrypted,
    #[error("its compression method is neither stored nor deflated")]
    Method,
    #[error("it is larger than {} bytes", ENTRY_BYTES_MAX)]
    TooLarge,
    #[error("it inflates more than any real file (a zip bomb)")]
    Bomb,
    #[error("it is a directory with contents")]
    DirectoryWithData,
    #[error("its data overlaps another entry or the directory, or lies outside the file")]
    Overlap,
    #[error("its local header disagrees with the directory")]
    LocalHeader,
    #[error("its data does not inflate to the size that it claims")]
    Size,
    #[error("its data is corrupt (CRC-32 differs)")]
    Crc,
}

impl Archive {
    /// The entries, in the order of the directory.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The index of the entry at `path`.
    pub fn find(&self, path: &str) -> Option<usize> {
        self.entries.iter().position(|entry| &*entry.path == path)
    }
}

impl Entry {
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind != EntryKind::Directory
    }

    /// Whether it is stored deflated.
    pub fn is_deflated(&self) -> bool {
        self.method == Method::Deflated
    }

    fn refuse(&self, problem: EntryProblem) -> ZipError {
        ZipError::Entry { entry: self.path.to_string(), problem }
    }
}

#[cfg(test)]
pub(crate) mod crafted;
#[cfg(test)]
mod hostile_tests;
