//! What the cache is worth after the machine went down: nothing, unless it had been written back to the disk.
//!
//! No deploy waits for a sync. Instead a mark with the boot's id lies beside the cache while there is something in it
//! that may be in memory alone, and a sync in the background takes it away. A mark of another boot at start means that
//! the machine went down in between: installs are made anew then, and artifacts are hashed again before they are used.
//! (A rename is not journalled before an earlier creation, so the mark is never younger than what it warns of.) What a
//! kill of the supervisor leaves is whole: the kernel goes on writing.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::places::Places;

/// Quiet time before a sync: it makes every other sync on that disk wait, so not in the middle of a deploy.
const QUIET: Duration = Duration::from_secs(10);
/// Longest that suspects are kept: by then every environment that needs one has asked for it.
const SUSPECTS_KEPT: Duration = Duration::from_secs(600);
/// Differs after every boot (proc_sys_kernel(5), random/boot_id).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Knows whether there is something to be written back.
pub struct Writeback {
    shared: Arc<Shared>,
    _sync: AbortOnDropHandle<()>,
    _suspects: AbortOnDropHandle<()>,
}

struct Shared {
    mark: PathBuf,
    state_dir: PathBuf,
    boot_id: String,
    /// Counts what was announced.
    published: AtomicU64,
    /// What is being written now: the mark stays.
    under_way: AtomicUsize,
    news: Notify,
}

/// Something is being written to the cache until this is dropped.
pub struct Writing(Arc<Shared>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        self.0.news.notify_one();
    }
}

impl Writeback {
    /// Distrusts what the machine may have lost, then syncs in the background. Call it before the cache is used.
    ///
    /// # Errors
    /// When what is distrusted cannot be moved aside.
    pub fn start(places: &Places, state_dir: &Path) -> io::Result<Self> {
        // Where /proc does not tell, no restart is taken for a boot: as good as other caches.
        let boot_id = fs::read_to_string(BOOT_ID).unwrap_or_default();
        let mark = state_dir.join("cache-not-synced");
        let marked = fs::read_to_string(&mark).ok();
        if marked.as_ref().is_some_and(|marked| *marked != boot_id) {
            tracing::warn!("the machine went down before the cache was on disk: installs are made anew");
            distrust(places)?;
            fs::remove_file(&mark)?;
        }
        let shared = Shared {
            mark,
            state_dir: state_dir.to_owned(),
            boot_id,
            published: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            news: Notify::new(),
        };
        let shared = Arc::new(shared);
        if marked.is_some() {
            shared.news.notify_one();
        }
        let (syncing, suspects) = (shared.clone(), places.suspects.clone());
        Ok(Self {
            shared,
            _sync: AbortOnDropHandle::new(tokio::spawn(async move { syncing.sync_when_quiet(QUIET).await })),
            _suspects: AbortOnDropHandle::new(tokio::spawn(async move {
                tokio::time::sleep(SUSPECTS_KEPT).await;
                let _ = tokio::task::spawn_blocking(move || fs::remove_dir_all(suspects)).await;
            })),
        })
    }

    /// Something is about to be written to the cache, and is being written as long as the answer is kept.
    ///
    /// # Errors
    /// When the mark cannot be made.
    pub fn about_to_write(&self) -> io::Result<Writing> {
        self.shared.published.fetch_add(1, Ordering::SeqCst);
        self.shared.under_way.fetch_add(1, Ordering::SeqCst);
        let writing = Writing(self.shared.clone());
        if !self.shared.mark.exists() {
            // Not synced itself: a mark that is lost or empty after a crash reads as another boot's or was never needed.
            fs::write(&self.shared.mark, &self.shared.boot_id)?;
        }
        Ok(writing)
    }
}

impl Shared {
    async fn sync_when_quiet(self: Arc<Self>, quiet: Duration) {
        loop {
            self.news.notified().await;
            while timeout(quiet, self.news.notified()).await.is_ok() {}
            let shared = self.clone();
            let synced = tokio::task::spawn_blocking(move || shared.sync()).await;
            if let Ok(Err(error)) = synced {
                tracing::warn!(%error, "failed to sync the cache; after a crash of the machine it is made anew");
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let before = self.published.load(Ordering::SeqCst);
        let all_written = self.under_way.load(Ordering::SeqCst) == 0;
        rustix::fs::syncfs(File::open(&self.state_dir)?)?;
        // What was announced meanwhile, or is not written yet, has its own turn.
        if all_written && self.published.load(Ordering::SeqCst) == before && self.mark.exists() {
            fs::remove_file(&self.mark)?;
        }
        Ok(())
    }
}

/// Artifacts become suspects; what was made of them is garbage.
fn distrust(places: &Places) -> io::Result<()> {
    if places.suspects.exists() {
        fs::rename(&places.suspects, places.staging("suspects"))?;
    }
    fs::rename(&places.artifacts, &places.suspects)?;
    for folder in [&places.installs, &places.wheels, &places.venvs] {
        fs::rename(folder, places.staging("distrusted"))?;
    }
    places.all().iter().try_for_each(fs::create_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_mark_stays_while_something_is_written_and_goes_when_everything_is_on_disk() {
        let state = tempfile::tempdir().expect("a state dir");
        let mark = state.path().join("mark");
        let shared = Arc::new(Shared {
            mark: mark.clone(),
            state_dir: state.path().to_owned(),
            boot_id: "this".to_owned(),
            published: AtomicU64::new(0),
            under_way: AtomicUsize::new(1),
            news: Notify::new(),
        });
        fs::write(&mark, "this").expect("written");
        shared.sync().expect("synced");
        assert!(mark.exists(), "the rest is written later");
        let syncing = tokio::spawn(shared.clone().sync_when_quiet(Duration::from_millis(1)));
        drop(Writing(shared));
        let gone = async {
            while mark.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(60), gone).await.expect("synced");
        syncing.abort();
    }
}
