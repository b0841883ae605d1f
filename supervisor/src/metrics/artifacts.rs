//! Fetches, and the disk that artifacts and installs fill.

use std::sync::atomic::Ordering;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    LimitMetrics,
    labels::{ByOutcome, Word},
    registered,
};

/// Counters of the artifact cache.
#[derive(Clone)]
pub struct ArtifactMetrics {
    fetches: Family<ByOutcome, Counter>,
    /// Bytes of artifacts that came from stores and had the right digest.
    pub fetch_bytes: Counter,
    /// Starts that did not wait any longer for their byte code.
    pub compile_before_start_max: Counter,
    swept_bytes: Counter,
    cache_bytes: Gauge,
    cache_quota_bytes: Gauge,
}

/// How asking for an artifact ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchOutcome {
    /// Its bytes came and had the right digest.
    Fetched,
    /// It was on disk already.
    Cached,
    /// It could not be had.
    Failed,
}

impl FetchOutcome {
    fn labels(self) -> ByOutcome {
        let outcome = Word(match self {
            Self::Fetched => "fetched",
            Self::Cached => "cached",
            Self::Failed => "failed",
        });
        ByOutcome { outcome }
    }
}

impl ArtifactMetrics {
    pub(super) fn register(registry: &mut Registry, limits: &LimitMetrics) -> Self {
        let artifacts = Self {
            fetches: registered(registry, "fetches", "Artifacts asked of a store"),
            fetch_bytes: registered(registry, "fetch_bytes", "Bytes that came from stores"),
            compile_before_start_max: limits.counter("compile_before_start_max"),
            swept_bytes: registered(registry, "cache_swept_bytes", "Bytes deleted to stay within the quota"),
            cache_bytes: registered(registry, "cache_bytes", "Bytes of artifacts and installs on disk"),
            cache_quota_bytes: registered(registry, "cache_quota_bytes", "Bound of pexvisor_cache_bytes"),
        };
        for outcome in [FetchOutcome::Fetched, FetchOutcome::Cached, FetchOutcome::Failed] {
            drop(artifacts.fetches.get_or_create(&outcome.labels()));
        }
        artifacts
    }

    /// Asking for an artifact came to its end.
    pub fn fetch_ended(&self, outcome: FetchOutcome) {
        self.fetches.get_or_create(&outcome.labels()).inc();
    }

    /// The bytes on disk now, how many there may be, and how many were deleted since the start to stay within.
    pub fn observe(&self, bytes: u64, bytes_quota: u64, bytes_swept: u64) {
        self.cache_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.cache_quota_bytes.set(i64::try_from(bytes_quota).unwrap_or(i64::MAX));
        self.swept_bytes.inner().fetch_max(bytes_swept, Ordering::Relaxed);
    }
}
