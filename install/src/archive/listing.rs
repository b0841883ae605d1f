//! Opening: reads the central directory once and checks everything that can be checked without reading contents.

use std::path::Path;

use rawzip::{CompressionMethod, ErrorKind, ZipFileHeaderRecord, ZipLocator};

use super::{
    Archive, Entry, EntryKind, EntryProblem, Method, Source, ZipError,
    limits::{
        ARCHIVE_RATIO_MAX, ARCHIVE_RATIO_SLACK, BYTES_MAX, END_SEARCH_BYTES, ENTRIES_MAX, ENTRY_BYTES_MAX,
        ENTRY_RATIO_MAX, ENTRY_RATIO_SLACK,
    },
    names,
};

/// Bytes of a local file header without its name and extra field.
pub(super) const LOCAL_HEADER_BYTES: u64 = 30;

/// Read buffer for the directory: a record is at most 46 + 3 × 65,535 bytes.
const DIRECTORY_BUFFER_BYTES: usize = 256 << 10;

/// The file type bits of a Unix mode, and the two types that are allowed. Old pexes leave them zero.
const TYPE_BITS: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;

impl Archive {
    /// Opens the zip file at `path`.
    ///
    /// # Errors
    /// See [`ZipError`].
    pub fn open(path: &Path) -> Result<Self, ZipError> {
        Self::from_source(Source::open(path).map_err(ZipError::Read)?)
    }

    /// Opens the zip file in `source`.
    ///
    /// # Errors
    /// See [`ZipError`].
    pub fn from_source(source: Source) -> Result<Self, ZipError> {
        let mut buffer = vec![0; DIRECTORY_BUFFER_BYTES];
        let zip = ZipLocator::new()
            .max_search_space(END_SEARCH_BYTES)
            .locate_in_reader(source.clone(), &mut buffer, source.len())
            .map_err(|(_, error)| not_found(error))?;
        let said = zip.entries_hint();
        if said > ENTRIES_MAX {
            return Err(ZipError::TooManyEntries { found: said });
        }
        let mut entries = Vec::with_capacity(usize::try_from(said).unwrap_or(0));
        let mut records = zip.entries(&mut buffer);
        while let Some(record) = records.next_entry().map_err(ZipError::Corrupt)? {
            if entries.len() as u64 >= said {
                return Err(ZipError::EntryCount { said, found: said + 1 });
            }
            entries.push(check_record(&record)?);
        }
        if entries.len() as u64 != said {
            return Err(ZipError::EntryCount { said, found: entries.len() as u64 });
        }
        check_total(&entries, source.len())?;
        names::check_together(&entries)?;
        set_ends(&mut entries, zip.directory_offset())?;
        Ok(Self { source, entries })
    }
}

fn not_found(error: rawzip::Error) -> ZipError {
    match error.kind() {
        ErrorKind::MissingEndOfCentralDirectory => ZipError::NoDirectory,
        _ => ZipError::Corrupt(error),
    }
}

fn check_record(record: &ZipFileHeaderRecord<'_>) -> Result<Entry, ZipError> {
    let raw = record.file_path();
    let refuse = |problem| ZipError::Entry { entry: String::from_utf8_lossy(raw.as_bytes()).into_owned(), problem };
    let path = names::check(raw.as_bytes()).map_err(refuse)?;
    let kind = kind_of(record).map_err(refuse)?;
    if record.flags().is_encrypted() {
        return Err(refuse(EntryProblem::Encrypted));
    }
    let method = match record.compression_method() {
        CompressionMethod::STORE => Method::Stored,
        CompressionMethod::DEFLATE => Method::Deflated,
        _ => return Err(refuse(EntryProblem::Method)),
    };
    let (size, stored_size) = (record.uncompressed_size_hint(), record.compressed_size_hint());
    check_size(kind, method, size, stored_size).map_err(refuse)?;
    let header_offset = record.local_header_offset();
    Ok(Entry { path, kind, size, crc: record.crc32(), method, stored_size, header_offset, end_max: 0 })
}

fn kind_of(record: &ZipFileHeaderRecord<'_>) -> Result<EntryKind, EntryProblem> {
    let mode = record.external_attributes() >> 16;
    match (mode & TYPE_BITS, record.is_dir()) {
        (0 | DIRECTORY, true) => Ok(EntryKind::Directory),
        (0 | REGULAR, false) if mode & 0o111 != 0 => Ok(EntryKind::Executable),
        (0 | REGULAR, false) => Ok(EntryKind::File),
        (DIRECTORY, false) | (REGULAR, true) => Err(EntryProblem::FileIsDirectory),
        _ => Err(EntryProblem::Special),
    }
}

fn check_size(kind: EntryKind, method: Method, size: u64, stored_size: u64) -> Result<(), EntryProblem> {
    if kind == EntryKind::Directory && size != 0 {
        return Err(EntryProblem::DirectoryWithData);
    }
    if size > ENTRY_BYTES_MAX || stored_size > ENTRY_BYTES_MAX {
        return Err(EntryProblem::TooLarge);
    }
    match method {
        Method::Stored if size != stored_size => Err(EntryProblem::Size),
        Method::Deflated if size > ENTRY_RATIO_SLACK + ENTRY_RATIO_MAX * stored_size => Err(EntryProblem::Bomb),
        Method::Stored | Method::Deflated => Ok(()),
    }
}

fn check_total(entries: &[Entry], file_bytes: u64) -> Result<(), ZipError> {
    // No overflow: at most 400,000 entries of 2 GiB.
    let found: u64 = entries.iter().map(|entry| entry.size).sum();
    let limit = BYTES_MAX.min(ARCHIVE_RATIO_SLACK + ARCHIVE_RATIO_MAX.saturating_mul(file_bytes));
    if found > limit { Err(ZipError::TooLarge { found, limit }) } else { Ok(()) }
}

/// Gives every entry the end that its data must keep, and refuses those that cannot.
fn set_ends(entries: &mut [Entry], directory_offset: u64) -> Result<(), ZipError> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_unstable_by_key(|&at| entries[at].header_offset);
    let mut end = directory_offset;
    for &at in order.iter().rev() {
        let entry = &mut entries[at];
        entry.end_max = end;
        let least = LOCAL_HEADER_BYTES + entry.path.len() as u64 + entry.stored_size;
        if entry.header_offset.checked_add(least).is_none_or(|least_end| least_end > end) {
            return Err(entry.refuse(EntryProblem::Overlap));
        }
        end = entry.header_offset;
    }
    Ok(())
}
