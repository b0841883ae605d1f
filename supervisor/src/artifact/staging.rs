//! One file on its way to disk: written at any offset, hashed behind the writers, published by rename.
//!
//! What is hashed is read back from the file, so the digest is of what the disk holds and not of what went by in
//! memory; it follows the contiguous front while later ranges are still being written. Knows nothing of stores.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::fs::FallocateFlags;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::words::Digest;

/// Bytes read back at a time for the hash: fits the second-level cache.
const HASH_STEP_BYTES: usize = 256 * 1024;
/// Bytes that one `copy_file_range` copies before the hash follows: keeps them in the page cache, and progress fresh.
const COPY_STEP_BYTES: usize = 4 * 1024 * 1024;
/// Mode of a published file: read by all, written by nobody.
const PUBLISHED_MODE: u32 = 0o444;

/// How far a fetch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes in all, as soon as the store has told; 0 before.
    pub total: u64,
}

/// A file in `tmp/`; removed when dropped unpublished.
pub struct Staging {
    path: PathBuf,
    inner: Arc<Inner>,
}

struct Inner {
    file: File,
    bytes_max: u64,
    front: Mutex<Front>,
    hashed: Mutex<Hashed>,
    progress: watch::Sender<Written>,
}

/// Which bytes are there.
#[derive(Default)]
struct Front {
    /// Everything before this offset is written.
    contiguous: u64,
    /// Extents beyond it: start to end.
    ahead: BTreeMap<u64, u64>,
}

#[derive(Default)]
struct Hashed {
    hasher: Sha256,
    upto: u64,
}

impl Staging {
    /// A new file that may grow to `bytes_max`; its progress is sent to `progress`.
    pub fn create(path: PathBuf, bytes_max: u64, progress: watch::Sender<Written>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let inner = Inner { file, bytes_max, front: Mutex::default(), hashed: Mutex::default(), progress };
        Ok(Self { path, inner: Arc::new(inner) })
    }

    /// Tells how many bytes will come, and takes the space for them, so that a full disk shows before the first byte.
    pub async fn expect_bytes(&self, total: u64) -> io::Result<()> {
        self.inner.progress.send_modify(|written| written.total = total);
        self.inner.check_size(total)?;
        let inner = self.inner.clone();
        on_disk(move || match rustix::fs::fallocate(&inner.file, FallocateFlags::KEEP_SIZE, 0, total.max(1)) {
            // A file system that cannot take space ahead tells at the write.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) | Ok(()) => Ok(()),
            Err(errno) => Err(errno.into()),
        })
        .await
    }

    /// Writes these bytes at this offset. Each byte of the file is written once.
    pub async fn write(&self, offset: u64, bytes: Vec<u8>) -> io::Result<()> {
        self.inner.check_size(offset + bytes.len() as u64)?;
        let inner = self.inner.clone();
        on_disk(move || {
            inner.file.write_all_at(&bytes, offset)?;
            inner.note(offset, bytes.len() as u64);
            inner.hash_behind()
        })
        .await
    }

    /// Copies a whole file, by reference where the file system can.
    pub async fn copy_from(&self, from: File) -> io::Result<()> {
        let inner = self.inner.clone();
        on_disk(move || inner.copy_all(&from)).await
    }

    /// Forgets everything written, for a source that can only start over.
    pub async fn start_over(&self) -> io::Result<()> {
        let inner = self.inner.clone();
        on_disk(move || {
            *lock(&inner.hashed) = Hashed::default();
            *lock(&inner.front) = Front::default();
            inner.progress.send_modify(|written| written.bytes = 0);
            inner.file.set_len(0)
        })
        .await
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.inner.progress.borrow().bytes
    }

    /// The digest and the number of all bytes written.
    pub async fn digest(&self) -> io::Result<(Digest, u64)> {
        let inner = self.inner.clone();
        on_disk(move || inner.finish_hash()).await
    }

    /// Moves the file to its name. Whoever opens that name from now on reads the bytes that were hashed.
    pub async fn publish(self, name: PathBuf) -> io::Result<()> {
        on_disk(move || {
            self.inner.file.set_permissions(Permissions::from_mode(PUBLISHED_MODE))?;
            std::fs::rename(&self.path, &name)
        })
        .await
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After a publish the name is gone, and that is fine.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Inner {
    fn check_size(&self, bytes: u64) -> io::Result<()> {
        if bytes > self.bytes_max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    }

    fn note(&self, offset: u64, length: u64) {
        lock(&self.front).note(offset, length);
        self.progress.send_modify(|written| written.bytes += length);
    }

    /// Hashes up to the contiguous front, unless another writer is at it.
    fn hash_behind(&self) -> io::Result<()> {
        let Ok(mut hashed) = self.hashed.try_lock() else { return Ok(()) };
        hashed.follow(&self.file, lock(&self.front).contiguous)
    }

    fn finish_hash(&self) -> io::Result<(Digest, u64)> {
        let end = lock(&self.front).contiguous;
        let mut hashed = lock(&self.hashed);
        hashed.follow(&self.file, end)?;
        Ok((Digest::from_bytes(hashed.hasher.clone().finalize().into()), end))
    }

    fn copy_all(&self, from: &File) -> io::Result<()> {
        let total = from.metadata()?.len();
        self.progress.send_modify(|written| written.total = total);
        self.check_size(total)?;
        let mut upto = 0;
        loop {
            let copied = copy_step(from, &self.file, upto)?;
            if copied == 0 {
                return Ok(());
            }
            self.note(upto, copied);
            upto += copied;
            self.hash_behind()?;
        }
    }
}

impl Front {
    fn note(&mut self, offset: u64, length: u64) {
        self.ahead.insert(offset, offset + length);
        while let Some(end) = self.ahead.remove(&self.contiguous) {
            self.contiguous = end;
        }
    }
}

impl Hashed {
    fn follow(&mut self, file: &File, front: u64) -> io::Result<()> {
        let mut step = vec![0; HASH_STEP_BYTES];
        while self.upto < front {
            let length = usize::try_from(front - self.upto).map_or(HASH_STEP_BYTES, |left| left.min(HASH_STEP_BYTES));
            file.read_exact_at(&mut step[..length], self.upto)?;
            self.hasher.update(&step[..length]);
            self.upto += length as u64;
        }
        Ok(())
    }
}

/// Copies the next bytes at this offset; 0 at the end.
fn copy_step(from: &File, to: &File, offset: u64) -> io::Result<u64> {
    let (mut from_offset, mut to_offset) = (offset, offset);
    let copied = rustix::fs::copy_file_range(from, Some(&mut from_offset), to, Some(&mut to_offset), COPY_STEP_BYTES);
    match copied {
        Ok(copied) => Ok(copied as u64),
        // Between file systems that cannot copy for us, and from /proc-like files: by hand.
        Err(rustix::io::Errno::XDEV | rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => {
            let mut bytes = vec![0; COPY_STEP_BYTES];
            let length = from.read_at(&mut bytes, offset)?;
            to.write_all_at(&bytes[..length], offset)?;
            Ok(length as u64)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Runs this on a thread that may wait for the disk.
pub async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Err(_) => Err(io::Error::other("the supervisor is shutting down")),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sha256(bytes: &[u8]) -> Digest {
        Digest::from_bytes(Sha256::digest(bytes).into())
    }

    fn staging(tmp: &Path) -> Staging {
        Staging::create(tmp.join("staged"), u64::MAX, watch::channel(Written::default()).0).expect("a file in tmp")
    }

    #[tokio::test]
    async fn ranges_in_any_order_hash_as_the_whole_file() {
        let tmp = tempfile::tempdir().expect("tmp");
        let whole: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        let staging = staging(tmp.path());
        for part in [2, 0, 1] {
            let (from, to) = (part * 1_000_000, (part + 1) * 1_000_000);
            staging.write(from as u64, whole[from..to].to_vec()).await.expect("written");
        }
        assert_eq!(staging.digest().await.expect("hashed"), (sha256(&whole), 3_000_000));
    }

    #[tokio::test]
    async fn a_gap_counts_as_the_end() {
        let tmp = tempfile::tempdir().expect("tmp");
        let staging = staging(tmp.path());
        staging.write(0, b"ab".to_vec()).await.expect("written");
        staging.write(5, b"cd".to_vec()).await.expect("written");
        assert_eq!(staging.digest().await.expect("hashed"), (sha256(b"ab"), 2));
    }

    #[tokio::test]
    async fn starting_over_forgets_the_first_bytes() {
        let tmp = tempfile::tempdir().expect("tmp");
        let staging = staging(tmp.path());
        staging.write(0, b"wrong and longer".to_vec()).await.expect("written");
        staging.start_over().await.expect("emptied");
        staging.write(0, b"right".to_vec()).await.expect("written");
        assert_eq!(staging.digest().await.expect("hashed").0, sha256(b"right"));
        let name = tmp.path().join("published");
        staging.publish(name.clone()).await.expect("published");
        assert_eq!(std::fs::read(name).expect("read"), b"right");
    }

    #[tokio::test]
    async fn a_copy_is_hashed_as_written_and_leaves_nothing_when_dropped() {
        let tmp = tempfile::tempdir().expect("tmp");
        let from = tmp.path().join("from");
        let bytes = vec![7; COPY_STEP_BYTES + 3];
        std::fs::write(&from, &bytes).expect("written");
        let staging = staging(tmp.path());
        staging.copy_from(File::open(&from).expect("opened")).await.expect("copied");
        assert_eq!(staging.digest().await.expect("hashed"), (sha256(&bytes), bytes.len() as u64));
        drop(staging);
        assert_eq!(std::fs::read_dir(tmp.path()).expect("listed").count(), 1, "only the original is left");
    }
}
