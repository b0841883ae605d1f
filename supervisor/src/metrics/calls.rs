//! What the proxy passes on and what it refuses.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    labels::{ByEnvironment, ByReason, Word},
    registered,
};
use crate::words::{EnvironmentName, EnvironmentStatus};

/// Counters of proxied calls.
#[derive(Clone)]
pub struct CallMetrics {
    passed: Family<ByEnvironment, Counter>,
    in_flight: Family<ByEnvironment, Gauge>,
    refused: Family<ByReason, Counter>,
}

impl CallMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            passed: registered(registry, "calls", "Calls passed on by the proxy"),
            in_flight: registered(registry, "calls_in_flight", "Calls that go on through the proxy now"),
            refused: registered(registry, "calls_refused", "Calls that the proxy answered itself"),
        }
    }

    /// The counter of one environment's calls, to be kept where they pass: looking it up takes a lock.
    pub fn passed(&self, environment: &EnvironmentName) -> Counter {
        self.passed.get_or_create_owned(&environment.into())
    }

    /// The proxy answered a call itself, for a reason that is a fixed word. Not by environment: clients make up names.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ByReason { reason: Word(reason) }).inc();
    }

    pub(super) fn observe(&self, environments: &[EnvironmentStatus]) {
        self.in_flight.clear();
        for environment in environments {
            let calls: u64 = environment.generations.iter().map(|generation| generation.calls_in_flight.now()).sum();
            let gauge = self.in_flight.get_or_create_owned(&(&environment.name).into());
            gauge.set(i64::try_from(calls).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn forget(&self, environment: &EnvironmentName) {
        self.passed.remove(&environment.into());
        self.in_flight.remove(&environment.into());
    }
}
