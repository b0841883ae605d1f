//! Keeps what is on disk below the quota: what was not used for longest goes first, what somebody holds never.
//!
//! Nothing that is being used can go: a victim is renamed away while no new hold can be taken, and deleted after.

mod shelf;
mod size;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::RwLock;

use self::{shelf::Shelf, size::Sizes};
use super::{holds::Holds, places::Places};
use crate::words::Digest;

/// Largest default quota: some dozens of revisions of a large project.
const QUOTA_BYTES_DEFAULT_MAX: u64 = 20 * 1024 * 1024 * 1024;
/// A sweep goes on to this share of the quota, in percent, so that not every deploy needs one.
const LOW_WATER_PERCENT: u64 = 90;

/// How much a sweep takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What is over the quota.
    Quota,
    /// Everything that nobody holds: the disk is full, and how much is needed is not known.
    Everything,
}

/// What is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all artifacts, installs, wheels and venvs.
    pub bytes: u64,
    /// Bytes that they may have.
    pub bytes_max: u64,
    /// Artifacts.
    pub artifacts: u32,
    /// Installs.
    pub installs: u32,
    /// Wheels, each counted once per interpreter.
    pub wheels: u32,
}

/// Sweeps.
pub struct Sweep {
    places: Places,
    holds: Holds,
    wheels_in_use: Arc<RwLock<()>>,
    bytes_max: u64,
    sizes: Mutex<Sizes>,
    /// One sweep at a time.
    sweeping: tokio::sync::Mutex<()>,
    usage: Mutex<Usage>,
    freed: AtomicU64,
}

impl Sweep {
    /// Keeps these places below `bytes_max`.
    pub fn new(places: Places, holds: Holds, wheels_in_use: Arc<RwLock<()>>, bytes_max: u64) -> Arc<Self> {
        let usage = Mutex::new(Usage { bytes_max, ..Usage::default() });
        let (sizes, sweeping, freed) = (Mutex::default(), tokio::sync::Mutex::default(), AtomicU64::new(0));
        Arc::new(Self { places, holds, wheels_in_use, bytes_max, sizes, sweeping, usage, freed })
    }

    /// What was on disk after the last sweep.
    pub fn usage(&self) -> Usage {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes removed since the start.
    pub fn bytes_freed(&self) -> u64 {
        self.freed.load(Ordering::Relaxed)
    }

    /// Sweeps and gives what is left.
    pub async fn sweep(self: &Arc<Self>, depth: Depth) -> Usage {
        let _one = self.sweeping.lock().await;
        let sweep = self.clone();
        let swept = tokio::task::spawn_blocking(move || sweep.sweep_blocking(depth)).await;
        if let Ok(Err(error)) = &swept {
            tracing::warn!(%error, "failed to sweep the cache; look at the disk's health");
        }
        self.usage()
    }

    /// These trees have changed.
    pub fn measure_again(&self, trees: &[PathBuf]) {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        trees.iter().for_each(|tree| sizes.forget(tree));
    }

    fn sweep_blocking(&self, depth: Depth) -> io::Result<()> {
        let mut shelf = {
            let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
            Shelf::look(&self.places, &mut sizes)?
        };
        let target = match depth {
            Depth::Quota if shelf.bytes() <= self.bytes_max => u64::MAX,
            Depth::Quota => self.bytes_max / 100 * LOW_WATER_PERCENT,
            Depth::Everything => 0,
        };
        let before = shelf.bytes();
        let done = self.shrink(&mut shelf, target);
        self.freed.fetch_add(before - shelf.bytes(), Ordering::Relaxed);
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        *usage = Usage { bytes_max: self.bytes_max, ..shelf.usage() };
        done
    }

    /// Wheels that no install stands on, then the digest used longest ago, then the wheels that only it stood on, …
    fn shrink(&self, shelf: &mut Shelf, target: u64) -> io::Result<()> {
        if shelf.bytes() <= target {
            return Ok(());
        }
        self.drop_unused_wheels(shelf, target)?;
        for digest in shelf.oldest_first() {
            if shelf.bytes() <= target {
                return Ok(());
            }
            self.drop_digest(shelf, digest)?;
            self.drop_unused_wheels(shelf, target)?;
        }
        Ok(())
    }

    fn drop_digest(&self, shelf: &mut Shelf, digest: Digest) -> io::Result<()> {
        let frozen = self.holds.freeze();
        if !frozen.is_free(digest) {
            return Ok(());
        }
        // In this order: a venv never stands without its installs, an install may without its file.
        let doomed = shelf.take(digest);
        let gone = doomed.iter().map(|path| self.rename_away(path)).collect::<io::Result<Vec<_>>>();
        drop(frozen);
        tracing::info!(%digest, "swept an artifact and its installs");
        gone?.iter().try_for_each(|path| delete(path))
    }

    fn drop_unused_wheels(&self, shelf: &mut Shelf, target: u64) -> io::Result<()> {
        // An install under way may be about to stand on one of them: the sweep after it will take them.
        let Ok(_nobody) = self.wheels_in_use.try_write() else { return Ok(()) };
        for wheel in shelf.take_unused_wheels(target) {
            delete(&self.rename_away(&wheel)?)?;
            // The key's folder, if this was its only interpreter.
            let _ = wheel.parent().map(fs::remove_dir);
        }
        Ok(())
    }

    fn rename_away(&self, path: &Path) -> io::Result<PathBuf> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).forget(path);
        let away = self.places.staging("swept");
        match fs::rename(path, &away) {
            // Somebody else removed it: what we want.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(away),
            renamed => renamed.map(|()| away),
        }
    }
}

/// The quota when none is given: half of the disk, at most 20 GiB.
///
/// # Errors
/// When the file system does not tell its size.
pub fn default_bytes_max(state_dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(state_dir)?;
    Ok((disk.f_blocks * disk.f_frsize / 2).min(QUOTA_BYTES_DEFAULT_MAX))
}

fn delete(path: &Path) -> io::Result<()> {
    let deleted = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match deleted {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        deleted => deleted,
    }
}
