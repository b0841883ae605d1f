//! How deploys end, and how long their steps take.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::{
    labels::{self, ByOutcome, ByReason, ByStep, Word},
    registered,
};
use crate::words::{FailureReason, Timings};

/// Upper bounds in seconds: a warm cut-over takes less than a millisecond, a first deploy of a big pex a minute.
const STEP_SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// Counters of deploys, restarts and rollbacks.
#[derive(Clone)]
pub struct DeployMetrics {
    by_outcome: Family<ByOutcome, Counter>,
    failures: Family<ByReason, Counter>,
    steps: Family<ByStep, Histogram, fn() -> Histogram>,
}

/// How a deploy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeployOutcome {
    /// The route moved to it.
    Ready,
    /// It failed.
    Failed,
    /// A newer one was accepted first.
    Superseded,
}

impl DeployOutcome {
    fn labels(self) -> ByOutcome {
        let outcome = Word(match self {
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        });
        ByOutcome { outcome }
    }
}

impl DeployMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let steps = Family::new_with_constructor((|| Histogram::new(STEP_SECONDS)) as fn() -> Histogram);
        registry.register("deploy_step_seconds", "Time of each step of a deploy that got ready", steps.clone());
        let deploys = Self {
            by_outcome: registered(registry, "deploys", "Deploys, restarts and rollbacks that reached their end"),
            failures: registered(registry, "deploy_failures", "Failed deploys"),
            steps,
        };
        deploys.start_at_zero();
        deploys
    }

    /// A deploy serves, after these times.
    pub fn ready(&self, timings: &Timings) {
        self.ended(DeployOutcome::Ready);
        for (step, micros) in steps(timings) {
            let seconds = std::time::Duration::from_micros(micros).as_secs_f64();
            self.steps.get_or_create(&ByStep { step }).observe(seconds);
        }
    }

    /// A deploy failed.
    pub fn failed(&self, reason: FailureReason) {
        self.ended(DeployOutcome::Failed);
        self.failures.get_or_create(&ByReason { reason: labels::reason(reason) }).inc();
    }

    /// A newer deploy took its place before it was ready.
    pub fn superseded(&self) {
        self.ended(DeployOutcome::Superseded);
    }

    fn ended(&self, outcome: DeployOutcome) {
        self.by_outcome.get_or_create(&outcome.labels()).inc();
    }

    /// So that a rate over the first event is not lost.
    fn start_at_zero(&self) {
        for outcome in [DeployOutcome::Ready, DeployOutcome::Failed, DeployOutcome::Superseded] {
            drop(self.by_outcome.get_or_create(&outcome.labels()));
        }
        for (step, _) in steps(&Timings::default()) {
            drop(self.steps.get_or_create(&ByStep { step }));
        }
    }
}

fn steps(timings: &Timings) -> [(Word, u64); 6] {
    let Timings { accept_us, fetch_us, install_us, start_us, cut_over_us, total_us } = *timings;
    [
        (Word("accept"), accept_us),
        (Word("fetch"), fetch_us),
        (Word("install"), install_us),
        (Word("start"), start_us),
        (Word("cut_over"), cut_over_us),
        (Word("total"), total_us),
    ]
}
