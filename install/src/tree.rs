//! Writing a tree: directories, then files in parallel, then links. Files come out read-only with fixed times.
//!
//! It decides nothing about where things belong.

use std::{
    fs::{self, DirBuilder, File, FileTimes, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use crate::archive::{Archive, EntryKind, EntryReader, ZipError};

/// Directories: only their owner makes byte code in them.
const DIRECTORY_MODE: u32 = 0o755;

/// Nobody writes to an installed file again.
const FILE_MODE: u32 = 0o444;
const EXECUTABLE_MODE: u32 = 0o555;

/// Modification and access time of every file: 1980-01-01, where zip's time begins. Equal, so that under
/// `relatime` the first read sets the access time: a file with atime > mtime is one that was really used.
const FILE_TIME: Duration = Duration::from_secs(315_532_800);

/// Jobs that a thread takes at once: they are in directory order, so threads seldom share a directory.
const JOBS_AT_ONCE: usize = 32;

/// One file to write.
pub(crate) struct FileJob<'a> {
    pub archive: &'a Archive,
    pub entry: usize,
    pub path: PathBuf,
    pub executable: Executable,
}

/// Whether a file gets execute permission.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Executable {
    /// As the archive says.
    AsStored,
    /// Always: a script.
    Always,
}

/// A tree cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    #[error("write {path:?}")]
    Write { path: PathBuf, source: io::Error },
    #[error("unpack it; rebuild or upload it again")]
    Zip(#[from] ZipError),
}

impl TreeError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Write { path: path.to_path_buf(), source }
    }
}

/// Makes `path` and the parents that are missing.
pub(crate) fn make_dir(path: &Path) -> Result<(), TreeError> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(TreeError::at(path))
}

/// Writes all files on all cores. `done` is called with the count of files so far, now and then, from any thread.
pub(crate) fn write_files(jobs: &[FileJob<'_>], done: &(dyn Fn(u64) + Sync)) -> Result<(), TreeError> {
    let mut last = None;
    for parent in jobs.iter().filter_map(|job| job.path.parent()) {
        if last != Some(parent) {
            make_dir(parent)?;
            last = Some(parent);
        }
    }
    let counted = AtomicUsize::new(0);
    in_parallel(jobs, |reader, job| {
        write_file(reader, job)?;
        let count = counted.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_multiple_of(JOBS_AT_ONCE) {
            done(count as u64);
        }
        Ok(())
    })
}

/// Runs `act` over `jobs` on all cores, in order as far as that goes; stops at the first error and gives it.
pub(crate) fn in_parallel<J: Sync, E: Send>(
    jobs: &[J],
    act: impl Fn(&mut EntryReader, &J) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let (next, stop, failure) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
    let work = || {
        let mut reader = EntryReader::default();
        while !stop.load(Ordering::Relaxed) {
            let start = next.fetch_add(JOBS_AT_ONCE, Ordering::Relaxed);
            let Some(batch) = jobs.get(start..jobs.len().min(start + JOBS_AT_ONCE)).filter(|jobs| !jobs.is_empty())
            else {
                return;
            };
            if let Err(error) = batch.iter().try_for_each(|job| act(&mut reader, job)) {
                stop.store(true, Ordering::Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    let threads = cores().min(jobs.len().div_ceil(JOBS_AT_ONCE));
    thread::scope(|scope| {
        // The calling thread works too: a small pex starts no thread at all.
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Cores that this process may use, at least one.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn write_file(reader: &mut EntryReader, job: &FileJob<'_>) -> Result<(), TreeError> {
    let entry = &job.archive.entries()[job.entry];
    let mode = match job.executable {
        Executable::Always => EXECUTABLE_MODE,
        Executable::AsStored if entry.kind == EntryKind::Executable => EXECUTABLE_MODE,
        Executable::AsStored => FILE_MODE,
    };
    reader.with(job.archive, entry, |bytes| write_new(&job.path, bytes, mode))?.map_err(TreeError::at(&job.path))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    let time = SystemTime::UNIX_EPOCH + FILE_TIME;
    file.set_times(FileTimes::new().set_accessed(time).set_modified(time))
}

/// Writes a read-only file that was in no archive.
pub(crate) fn write_text(path: &Path, text: &[u8]) -> Result<(), TreeError> {
    write_new(path, text, FILE_MODE).map_err(TreeError::at(path))
}

/// Makes the link `path` that leads to `target`.
pub(crate) fn link(path: &Path, target: &Path) -> Result<(), TreeError> {
    symlink(target, path).map_err(TreeError::at(path))
}

/// Renames the directory `from` to `to`. Whoever was first wins: if `to` is there already, `from` stays.
pub(crate) fn publish(from: &Path, to: &Path) -> Result<(), TreeError> {
    match fs::rename(from, to) {
        Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => Ok(()),
        renamed => renamed.map_err(TreeError::at(to)),
    }
}

/// The relative path from the directory `from` to `to`; both are absolute and have no `..`.
pub(crate) fn relative(from: &Path, to: &Path) -> PathBuf {
    let (mut from, mut to) = (from.components().peekable(), to.components().peekable());
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    from.map(|_| Path::new("..")).chain(to.map(|part| Path::new(part.as_os_str()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_climb_only_as_far_as_needed() {
        let path = |from: &str, to: &str| relative(Path::new(from), Path::new(to)).display().to_string();
        assert_eq!(path("/s/installs/x/site-packages", "/s/wheels/k/a"), "../../../wheels/k/a");
        assert_eq!(path("/s/a", "/s/a/b"), "b");
    }

    #[test]
    fn the_first_error_stops_all_threads_and_comes_back() {
        let jobs: Vec<u32> = (0..10_000).collect();
        let failed = in_parallel(&jobs, |_, job| if *job == 5_000 { Err(*job) } else { Ok(()) });
        assert_eq!(failed, Err(5_000));
    }

    #[test]
    fn publishing_over_another_ones_tree_leaves_theirs() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        for tree in [&ours, &theirs] {
            make_dir(tree).expect("writable");
            fs::write(tree.join("file"), tree.display().to_string()).expect("writable");
        }
        publish(&ours, &theirs).expect("losing is fine");
        assert_eq!(fs::read_to_string(theirs.join("file")).expect("there"), theirs.display().to_string());
    }
}
