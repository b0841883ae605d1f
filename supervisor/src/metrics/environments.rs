//! Environments by phase, and what happens to their generations.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    labels::{self, ByEnvironment, ByEnvironmentAndReason, ByPhase, Word},
    registered,
};
use crate::words::{EnvironmentName, EnvironmentStatus};

/// Counters of environments and generations.
#[derive(Clone)]
pub struct EnvironmentMetrics {
    by_phase: Family<ByPhase, Gauge>,
    started: Family<ByEnvironment, Counter>,
    ended: Family<ByEnvironmentAndReason, Counter>,
    restarts: Family<ByEnvironment, Counter>,
    lines_lost: Family<ByEnvironment, Counter>,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationEnd {
    /// A newer generation took its place.
    Replaced,
    /// Stop, Remove, or the end of the supervisor.
    Stopped,
    /// It exited by itself or by a signal that is not ours.
    Exited,
    /// The kernel's OOM killer.
    OutOfMemory,
    /// Not ready in time.
    StartTimeout,
    /// It no longer answered health checks.
    LostHealth,
    /// Refused for another reason before it served, such as a foreign socket.
    Refused,
}

impl GenerationEnd {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Replaced,
        Self::Stopped,
        Self::Exited,
        Self::OutOfMemory,
        Self::StartTimeout,
        Self::LostHealth,
        Self::Refused,
    ];

    fn word(self) -> Word {
        Word(match self {
            Self::Replaced => "replaced",
            Self::Stopped => "stopped",
            Self::Exited => "exited",
            Self::OutOfMemory => "out_of_memory",
            Self::StartTimeout => "start_timeout",
            Self::LostHealth => "lost_health",
            Self::Refused => "refused",
        })
    }
}

impl EnvironmentMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            by_phase: registered(registry, "environments", "Environments in each phase"),
            started: registered(registry, "generations_started", "Code servers started"),
            ended: registered(registry, "generations_ended", "Code servers ended"),
            restarts: registered(registry, "restarts", "Restarts after a death"),
            lines_lost: registered(registry, "log_lines_lost", "Output lines dropped to keep within the bound"),
        }
    }

    /// A code server was started.
    pub fn started(&self, environment: &EnvironmentName) {
        self.started.get_or_create(&environment.into()).inc();
    }

    /// The first process of a code server has ended.
    pub fn ended(&self, environment: &EnvironmentName, end: GenerationEnd) {
        self.ended.get_or_create(&ended_labels(environment, end)).inc();
    }

    /// A code server is started again because the one before died.
    pub fn restarted(&self, environment: &EnvironmentName) {
        self.restarts.get_or_create(&environment.into()).inc();
    }

    /// The counter of output lines that were dropped to keep within the bound.
    pub fn lines_lost(&self, environment: &EnvironmentName) -> Counter {
        self.lines_lost.get_or_create_owned(&environment.into())
    }

    pub(super) fn observe(&self, environments: &[EnvironmentStatus]) {
        for phase in labels::PHASES {
            let count = environments.iter().filter(|environment| environment.phase == phase).count();
            let gauge = self.by_phase.get_or_create_owned(&ByPhase { phase: labels::phase(phase) });
            gauge.set(i64::try_from(count).expect("fewer environments than an i64 counts"));
        }
    }

    pub(super) fn forget(&self, environment: &EnvironmentName) {
        for end in GenerationEnd::ALL {
            self.ended.remove(&ended_labels(environment, end));
        }
        for family in [&self.started, &self.restarts, &self.lines_lost] {
            family.remove(&environment.into());
        }
    }
}

fn ended_labels(environment: &EnvironmentName, end: GenerationEnd) -> ByEnvironmentAndReason {
    ByEnvironmentAndReason { environment: environment.to_string(), reason: end.word() }
}
