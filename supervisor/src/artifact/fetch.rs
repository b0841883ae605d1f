//! Brings artifacts onto disk: by digest, once however many wait, verified before anybody can open them.
//!
//! Does not install, and does not make room: see `install` and `sweep`.

use std::{os::unix::fs::MetadataExt as _, sync::Arc};

use tokio::sync::watch;

use super::{
    flight::{Flights, Passenger},
    places::Places,
    source::{Location, Patience, SourceError, Sources},
    staging::{Staging, Written},
};
use crate::{
    metrics::ArtifactMetrics,
    words::{Digest, Failure, FailureReason},
};

/// Why an artifact is not on disk.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// The bytes did not come, or could not be written.
    #[error(transparent)]
    Source(Arc<SourceError>),
    /// They came, and are others.
    #[error("verify {at}: its {bytes} bytes have sha256 {found}; push the artifact again, or correct the digest")]
    WrongBytes {
        /// Where they came from.
        at: String,
        /// How many there were.
        bytes: u64,
        /// What they are.
        found: Digest,
    },
}

/// An artifact on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its size.
    pub bytes: u64,
}

/// What a fetch ends with.
pub type FetchResult = Result<Fetched, FetchError>;

/// Fetches artifacts.
pub struct Fetch {
    places: Places,
    sources: Sources,
    bytes_max: u64,
    metrics: ArtifactMetrics,
    flights: Flights<Digest, FetchResult, Written>,
}

impl Fetch {
    /// Fetches artifacts of up to `bytes_max` each.
    pub fn new(places: Places, bytes_max: u64, metrics: ArtifactMetrics) -> Arc<Self> {
        let sources = Sources::from_environment(Patience::default());
        Arc::new(Self { places, sources, bytes_max, metrics, flights: Flights::new() })
    }

    /// The artifact if it is on disk. Its name is trusted: it gets that name only after its bytes were hashed, by a
    /// rename, in a folder that only the supervisor writes to.
    pub fn cached(&self, digest: Digest) -> Option<Fetched> {
        let metadata = std::fs::symlink_metadata(self.places.artifact(digest)).ok()?;
        metadata.is_file().then(|| Fetched { bytes: metadata.size() })
    }

    /// Joins the fetch of this artifact, or starts it. A guest waits for the bytes from the starter's location; if they
    /// do not come, it starts a fetch from its own.
    pub fn start(self: &Arc<Self>, digest: Digest, location: &Location) -> Passenger<FetchResult, Written> {
        let (fetch, location) = (self.clone(), location.clone());
        self.flights.board(&digest, move |progress| async move { fetch.run(digest, &location, progress).await })
    }

    async fn run(&self, digest: Digest, location: &Location, progress: watch::Sender<Written>) -> FetchResult {
        // One that landed between the caller's look and this start.
        if let Some(fetched) = self.cached(digest) {
            return Ok(fetched);
        }
        let suspect = self.places.suspect(digest);
        if suspect.exists() {
            let rescued = self.run_from(digest, &Location::File(suspect), progress.clone()).await;
            if rescued.is_ok() {
                return rescued;
            }
        }
        self.run_from(digest, location, progress).await
    }

    async fn run_from(&self, digest: Digest, location: &Location, progress: watch::Sender<Written>) -> FetchResult {
        let staging =
            Staging::create(self.places.staging("fetch"), self.bytes_max, progress).map_err(SourceError::from)?;
        let filled = self.sources.fill(location, &staging).await;
        self.metrics.fetch_bytes.inc_by(staging.written());
        filled?;
        let (found, bytes) = staging.digest().await.map_err(SourceError::from)?;
        if found != digest {
            return Err(FetchError::WrongBytes { at: location.to_string(), bytes, found });
        }
        staging.publish(self.places.artifact(digest)).await.map_err(SourceError::from)?;
        Ok(Fetched { bytes })
    }
}

impl FetchError {
    /// Whether room on the disk would have helped.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Source(error) if matches!(**error, SourceError::DiskFull))
    }

    /// What is told of the deploy that needed this artifact.
    pub fn into_failure(self, digest: Digest) -> Failure {
        let reason = match &self {
            Self::WrongBytes { .. } => FailureReason::DigestMismatch,
            Self::Source(error) => match **error {
                SourceError::DiskFull | SourceError::TooLarge => FailureReason::DiskFull,
                SourceError::Disk(_) => FailureReason::Internal,
                SourceError::NotAFile { .. } => FailureReason::BadArtifact,
                SourceError::NotFound { .. }
                | SourceError::Forbidden { .. }
                | SourceError::NoCredentials { .. }
                | SourceError::SlowDown { .. }
                | SourceError::ServerError { .. }
                | SourceError::Unexpected { .. }
                | SourceError::Unreachable { .. }
                | SourceError::Stalled { .. }
                | SourceError::Truncated { .. }
                | SourceError::Changed { .. }
                | SourceError::Redirect { .. }
                | SourceError::Unreadable { .. } => FailureReason::Fetch,
            },
        };
        Failure::new(reason, format_args!("artifact {digest}: failed to {}", with_causes(&self)))
    }
}

/// The error and its causes, outermost first, on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

impl From<SourceError> for FetchError {
    fn from(error: SourceError) -> Self {
        Self::Source(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::metrics::Metrics;

    fn digest_of(bytes: &[u8]) -> Digest {
        Digest::from_bytes(Sha256::digest(bytes).into())
    }

    fn fetch_below(state: &Path, bytes_max: u64) -> Arc<Fetch> {
        let places = Places::below(state);
        places.all().iter().for_each(|place| fs::create_dir_all(place).expect("made"));
        Fetch::new(places, bytes_max, Metrics::new().artifacts)
    }

    /// A fetch, and a store of one file.
    fn with_store(bytes: &[u8]) -> (tempfile::TempDir, Arc<Fetch>, Location) {
        let state = tempfile::tempdir().expect("a state dir");
        let file = state.path().join("in-store.pex");
        fs::write(&file, bytes).expect("written");
        let fetch = fetch_below(state.path(), u64::MAX);
        (state, fetch, Location::File(file))
    }

    fn nothing_is_left_in(tmp: &Path) -> bool {
        fs::read_dir(tmp).expect("listed").next().is_none()
    }

    #[tokio::test]
    async fn a_file_of_the_store_is_copied_verified_and_found_again() {
        let (_state, fetch, location) = with_store(b"bytes");
        let digest = digest_of(b"bytes");
        assert_eq!(fetch.cached(digest), None);
        let fetched = fetch.start(digest, &location).landing.await.expect("fetched");
        assert_eq!(fetched.bytes, 5);
        assert_eq!(fetch.cached(digest), Some(fetched));
        assert_eq!(fs::read(fetch.places.artifact(digest)).expect("read"), b"bytes");
        assert!(nothing_is_left_in(&fetch.places.tmp));
    }

    #[tokio::test]
    async fn other_bytes_are_refused_and_not_kept() {
        let (_state, fetch, location) = with_store(b"bytes");
        let digest = digest_of(b"other");
        let error = fetch.start(digest, &location).landing.await.expect_err("other bytes");
        let failure = error.into_failure(digest);
        assert_eq!(failure.reason, FailureReason::DigestMismatch);
        assert!(failure.message.contains(&digest_of(b"bytes").to_string()), "{}", failure.message);
        assert!(fetch.cached(digest).is_none() && nothing_is_left_in(&fetch.places.tmp));
    }

    #[tokio::test]
    async fn what_is_no_file_is_refused_at_once() {
        let (state, fetch, _) = with_store(b"");
        let fifo = state.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("made");
        for (path, reason) in [
            (state.path().join("missing.pex"), FailureReason::Fetch),
            (state.path().to_owned(), FailureReason::BadArtifact),
            (fifo, FailureReason::BadArtifact),
        ] {
            let digest = digest_of(b"x");
            let error = fetch.start(digest, &Location::File(path.clone())).landing.await.expect_err("no file");
            let failure = error.into_failure(digest);
            assert_eq!(failure.reason, reason, "{path:?}: {}", failure.message);
        }
    }

    #[tokio::test]
    async fn an_artifact_larger_than_the_cache_is_refused() {
        let (state, _, location) = with_store(&[0; 1000]);
        let fetch = fetch_below(state.path(), 999);
        let digest = digest_of(&[0; 1000]);
        let error = fetch.start(digest, &location).landing.await.expect_err("too large");
        assert_eq!(error.into_failure(digest).reason, FailureReason::DiskFull);
        assert!(nothing_is_left_in(&fetch.places.tmp));
    }

    #[tokio::test]
    async fn fifty_waiters_make_one_copy() {
        let (_state, fetch, location) = with_store(&vec![1; 30_000_000]);
        let digest = digest_of(&vec![1; 30_000_000]);
        let passengers: Vec<_> = (0..50).map(|_| fetch.start(digest, &location)).collect();
        let starters = passengers.iter().filter(|passenger| passenger.berth == super::super::flight::Berth::Starter);
        assert_eq!(starters.count(), 1);
        let landings = passengers.into_iter().map(|passenger| passenger.landing);
        for landed in futures_util::future::join_all(landings).await {
            assert_eq!(landed.expect("fetched").bytes, 30_000_000);
        }
    }

    #[tokio::test]
    async fn a_full_disk_fails_the_fetch_and_leaves_nothing() {
        let state = tempfile::tempdir().expect("a state dir");
        let _disk = SmallDisk::mount(state.path(), "1m");
        let fetch = fetch_below(state.path(), u64::MAX);
        let store = tempfile::NamedTempFile::new().expect("a store");
        fs::write(store.path(), vec![3; 2_000_000]).expect("written");
        let digest = digest_of(&vec![3; 2_000_000]);
        let landed = fetch.start(digest, &Location::File(store.path().to_owned())).landing.await;
        let error = landed.expect_err("the disk is too small");
        assert!(error.is_disk_full(), "{error:?}");
        assert!(nothing_is_left_in(&fetch.places.tmp));
    }

    /// A tmpfs of this size; the tests of this crate run as root, as pexvisor itself does.
    struct SmallDisk<'a>(&'a Path);

    impl<'a> SmallDisk<'a> {
        fn mount(at: &'a Path, size: &str) -> Self {
            let options = format!("size={size}");
            nix::mount::mount(Some("tmpfs"), at, Some("tmpfs"), nix::mount::MsFlags::empty(), Some(options.as_str()))
                .expect("mount a tmpfs: run the tests as root");
            Self(at)
        }
    }

    impl Drop for SmallDisk<'_> {
        fn drop(&mut self) {
            nix::mount::umount2(self.0, nix::mount::MntFlags::MNT_DETACH).expect("unmounted");
        }
    }
}
