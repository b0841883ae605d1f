//! From a list of artifacts to a venv that can be run: fetch, install, compose; on a full disk sweep and try once more.

use std::{
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::future::try_join_all;
use tokio::sync::watch;

use super::{
    Artifacts, Composition, Depth, Hold, Inner, Prepared,
    fetch::{FetchError, FetchResult, Fetched},
    flight::{Berth, Passenger},
    install::Wanted,
    source::Location,
    staging::Written,
};
use crate::{
    metrics::FetchOutcome,
    words::{ArtifactRef, Digest, Failure, FailureReason},
};

/// Least time between two reports on one artifact: a person sees no more, and a client need not take more.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// How far a deploy's artifacts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Its bytes are coming.
    Fetching {
        /// The artifact.
        digest: Digest,
        /// Bytes on disk.
        bytes: u64,
        /// Bytes in all; 0 while unknown.
        total: u64,
        /// It was on disk already.
        cached: bool,
    },
    /// It is being installed.
    Installing {
        /// The artifact.
        digest: Digest,
        /// It was installed already.
        cached: bool,
        /// The install is complete.
        done: bool,
    },
}

impl Artifacts {
    /// Gets these artifacts (in pex order) onto disk, installs them for the interpreter asked for, or for the best that
    /// fits, and composes them. When all of it is there, that costs a few `stat`s and small files.
    ///
    /// Several callers may want the same: the work is done once. When the last of them is dropped, it ends.
    ///
    /// # Errors
    /// What is told to the client: the reason, and what to do next.
    pub async fn prepare(
        &self,
        artifacts: &[ArtifactRef],
        interpreter: Option<&Path>,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<Prepared, Failure> {
        let digests: Vec<Digest> = artifacts.iter().map(|artifact| artifact.digest).collect();
        // First of all: from here on the sweep leaves them alone.
        let hold = Arc::new(self.hold(digests.iter().copied()));
        let wanted = Wanted { digests, interpreter: interpreter.map(Path::to_owned) };
        let first = self.inner.attempt(artifacts, &wanted, &progress).await;
        let made = match first {
            Err(Setback::DiskFull(failure)) => {
                tracing::warn!(message = failure.message, "the disk is full: sweeping, then trying once more");
                self.inner.sweep.sweep(Depth::Everything).await;
                self.inner.attempt(artifacts, &wanted, &progress).await.map_err(Setback::into_failure)?
            }
            first => first.map_err(Setback::into_failure)?,
        };
        self.inner.mark_used(&made.composition);
        if made.new == New::Yes {
            self.sweep_later();
        }
        Ok(made.into_prepared(hold))
    }
}

/// What an attempt failed of.
enum Setback {
    /// The disk: a sweep may help.
    DiskFull(Failure),
    /// Anything else, the quota among it: a sweep does not help.
    Other(Failure),
}

/// The mark of the write-back cannot be made.
fn on_mark(error: &io::Error) -> Setback {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Setback::DiskFull(Failure::new(
            FailureReason::DiskFull,
            "failed to write to the state directory: no space left",
        )),
        _ => Setback::Other(Failure::new(
            FailureReason::Internal,
            format_args!("failed to write to the state directory: {error}"),
        )),
    }
}

impl Setback {
    fn into_failure(self) -> Failure {
        match self {
            Self::DiskFull(failure) | Self::Other(failure) => failure,
        }
    }
}

/// A composition and how long it took.
struct Made {
    composition: Arc<Composition>,
    new: New,
    fetch_time: Duration,
    install_time: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum New {
    Yes,
    No,
}

impl Inner {
    async fn attempt(
        &self,
        artifacts: &[ArtifactRef],
        wanted: &Wanted,
        progress: &(impl Fn(Progress) + Sync),
    ) -> Result<Made, Setback> {
        let started = Instant::now();
        if let Some(composition) = self.install.cached(wanted).await {
            wanted.digests.iter().for_each(|digest| self.tell_cached(*digest, progress));
            let install_time = started.elapsed();
            let composition = Arc::new(composition);
            return Ok(Made { composition, new: New::No, fetch_time: Duration::ZERO, install_time });
        }
        self.check_room().await.map_err(Setback::Other)?;
        let _writing = self.writeback.about_to_write().map_err(|error| on_mark(&error))?;
        try_join_all(artifacts.iter().map(|artifact| self.fetch_one(artifact, progress))).await?;
        let fetch_time = started.elapsed();
        let missing = |digest: &&Digest| !self.install.is_installed(**digest);
        let missing: Vec<Digest> = wanted.digests.iter().filter(missing).copied().collect();
        for digest in &wanted.digests {
            let cached = !missing.contains(digest);
            progress(Progress::Installing { digest: *digest, cached, done: cached });
        }
        let composition = self.install.install(wanted).await.map_err(|failure| match failure.reason {
            FailureReason::DiskFull => Setback::DiskFull(failure),
            _ => Setback::Other(failure),
        })?;
        missing.iter().for_each(|digest| progress(Progress::Installing { digest: *digest, cached: false, done: true }));
        Ok(Made { composition, new: New::Yes, fetch_time, install_time: started.elapsed() - fetch_time })
    }

    /// Refuses what would only make a cache larger that is over its quota and has nothing left to sweep.
    async fn check_room(&self) -> Result<(), Failure> {
        let full = |usage: super::Usage| usage.bytes > usage.bytes_max;
        if full(self.sweep.usage()) && full(self.sweep.sweep(Depth::Quota).await) {
            let usage = self.sweep.usage();
            return Err(Failure::new(
                FailureReason::DiskFull,
                format_args!(
                    "failed to make room: what the environments need takes {} of {} bytes; remove environments or raise \
                     --cache-bytes-max",
                    usage.bytes, usage.bytes_max
                ),
            ));
        }
        Ok(())
    }

    async fn fetch_one(&self, artifact: &ArtifactRef, progress: &(impl Fn(Progress) + Sync)) -> Result<(), Setback> {
        let digest = artifact.digest;
        let bad = |error| Setback::Other(Failure::new(FailureReason::Fetch, format_args!("failed to fetch: {error}")));
        let location = self.store.locate(artifact).map_err(bad)?;
        if let Some(Fetched { bytes }) = self.fetch.cached(digest) {
            self.metrics.fetch_ended(FetchOutcome::Cached);
            progress(Progress::Fetching { digest, bytes, total: bytes, cached: true });
            return Ok(());
        }
        let landed = self.fetch_from(digest, &location, progress).await;
        self.metrics.fetch_ended(if landed.is_ok() { FetchOutcome::Fetched } else { FetchOutcome::Failed });
        let full = landed.as_ref().is_err_and(FetchError::is_disk_full);
        let landed = landed.map_err(|error| error.into_failure(digest));
        let Fetched { bytes } = landed.map_err(if full { Setback::DiskFull } else { Setback::Other })?;
        progress(Progress::Fetching { digest, bytes, total: bytes, cached: false });
        Ok(())
    }

    async fn fetch_from(
        &self,
        digest: Digest,
        location: &Location,
        progress: &(impl Fn(Progress) + Sync),
    ) -> FetchResult {
        loop {
            let passenger = self.fetch.start(digest, location);
            let berth = passenger.berth;
            match land(digest, passenger, progress).await {
                // The other one may have been sent to a bad place.
                Err(error) if berth == Berth::Guest && !error.is_disk_full() => {}
                landed => return landed,
            }
        }
    }

    fn tell_cached(&self, digest: Digest, progress: &impl Fn(Progress)) {
        self.metrics.fetch_ended(FetchOutcome::Cached);
        let bytes = self.fetch.cached(digest).map_or(0, |fetched| fetched.bytes);
        progress(Progress::Fetching { digest, bytes, total: bytes, cached: true });
        progress(Progress::Installing { digest, cached: true, done: true });
    }

    /// Stamps what is used, for the sweep; by the time of change, because reading moves the time of access.
    fn mark_used(&self, composition: &Composition) {
        for install in &composition.installs {
            let artifact = install.manifest.digest.parse().map(|digest| self.places.artifact(digest));
            let stamped = [artifact.ok(), Some(install.directory.join("manifest.json"))];
            for path in stamped.into_iter().flatten() {
                // An artifact's file need not be there: its install is enough.
                let _ = stamp(&path);
            }
        }
    }
}

fn stamp(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.set_modified(SystemTime::now())
}

/// Waits for the bytes and reports on them.
async fn land(
    digest: Digest,
    passenger: Passenger<FetchResult, Written>,
    progress: &(impl Fn(Progress) + Sync),
) -> FetchResult {
    let Passenger { landing, progress: mut written, .. } = passenger;
    tokio::pin!(landing);
    loop {
        tokio::select! {
            biased;
            landed = &mut landing => return landed,
            () = news(&mut written) => {}
        }
        let Written { bytes, total } = *written.borrow_and_update();
        progress(Progress::Fetching { digest, bytes, total, cached: false });
        if let Ok(landed) = tokio::time::timeout(REPORT_INTERVAL, &mut landing).await {
            return landed;
        }
    }
}

async fn news(written: &mut watch::Receiver<Written>) {
    if written.changed().await.is_err() {
        // The job has ended, so it lands.
        std::future::pending::<()>().await;
    }
}

impl Made {
    fn into_prepared(self, hold: Arc<Hold>) -> Prepared {
        let Self { composition, fetch_time, install_time, .. } = self;
        let sources = |install: &&pexvisor_install::venv::Installed| install.manifest.has_sources;
        let with_sources: Vec<_> = composition.installs.iter().filter(sources).collect();
        let last = with_sources.last().filter(|install| install.manifest.working_directory_root);
        Prepared {
            venv: composition.venv.clone(),
            python: pexvisor_install::venv::python(&composition.venv),
            manifests: composition.installs.iter().map(|install| install.manifest.clone()).collect(),
            sources: with_sources.iter().map(|install| install.directory.join("sources")).collect(),
            working_directory_root: last.map(|install| install.directory.join("sources/working_directory/root")),
            fetch_time,
            install_time,
            composition,
            _hold: hold,
        }
    }
}
