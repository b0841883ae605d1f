//! How much of everything an archive may have, each with its reason.

/// Entries. Real pexes have 10,000 (Dagster) to 60,000 (large machine-learning sets); an entry costs about 150
/// bytes of memory here and a file there.
pub const ENTRIES_MAX: u64 = 400_000;

/// Inflated bytes of the whole archive. The largest real ones (CUDA libraries) come to 10 GB; the disk quota
/// above us is the real limit.
pub const BYTES_MAX: u64 = 32 << 30;

/// Inflated bytes of one entry: it is held in memory while it is written. The largest real one is a CUDA library
/// of 1.4 GB.
pub const ENTRY_BYTES_MAX: u64 = 2 << 30;

/// From this size on, entries are inflated one at a time over all threads, so that memory is bounded by one of them.
pub(super) const LARGE_ENTRY_BYTES: u64 = 32 << 20;

/// Inflated bytes per stored byte of an entry. DEFLATE itself cannot do more than 1032; real files of repeated
/// data come close to that, so this refuses lies alone, and [`ARCHIVE_RATIO_MAX`] refuses bombs.
pub(super) const ENTRY_RATIO_MAX: u64 = 1032;

/// Bytes that an entry may inflate to whatever its ratio: headers and tiny files.
pub(super) const ENTRY_RATIO_SLACK: u64 = 4096;

/// Inflated bytes per byte of the whole file. Real pexes have 3 to 6; a bomb without overlapping entries has 1000.
pub(super) const ARCHIVE_RATIO_MAX: u64 = 100;

/// Bytes that an archive may inflate to whatever its ratio.
pub(super) const ARCHIVE_RATIO_SLACK: u64 = 64 << 20;

/// Bytes of a path. PATH_MAX is 4096, and the state directory's own path goes before it.
pub(super) const PATH_BYTES_MAX: usize = 1024;

/// Bytes of one part of a path: NAME_MAX of Linux file systems.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// Parts of a path. The deepest real ones have about 15.
pub(super) const DEPTH_MAX: usize = 64;

/// How far from the end the directory's end record may be: its comment is at most 65,535 bytes.
pub(super) const END_SEARCH_BYTES: u64 = 66_000;
