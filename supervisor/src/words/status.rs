//! What can be seen of an environment from outside.

use std::{fmt, sync::Arc, time::SystemTime};

use pexvisor_sandbox::Exit;

use super::{EnvironmentName, Failure, GenerationNumber, Revision, RevisionNumber};

/// One environment as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvironmentStatus {
    /// Its name.
    pub name: EnvironmentName,
    /// Grows with every change.
    pub version: u64,
    /// Tells it from an earlier environment of the same name.
    pub born: u64,
    /// What it is doing.
    pub phase: Phase,
    /// Since when.
    pub phase_since: SystemTime,
    /// The newest revision accepted.
    pub newest: RevisionNumber,
    /// The revision that serves or is being restarted.
    pub serving: Option<RevisionNumber>,
    /// The revision on its way.
    pub deploying: Option<RevisionNumber>,
    /// Where a rollback goes.
    pub previous: Option<RevisionNumber>,
    /// Living generations and the last dead ones, oldest first.
    pub generations: Vec<GenerationStatus>,
    /// The last failure, until a deploy succeeds.
    pub last_failure: Option<Failure>,
    /// Restarts since the serving revision was deployed.
    pub restarts: u32,
    /// When the next restart is due.
    pub next_restart: Option<SystemTime>,
    /// The proxy's unix socket for this environment.
    pub socket: String,
    /// The serving revision, or the newest when none serves.
    pub revision: Option<Revision>,
}

/// What an environment is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A first revision is on its way; nothing serves yet.
    Deploying,
    /// A generation serves.
    Serving,
    /// The code server died; the next one starts after a pause.
    Restarting,
    /// It died again and again.
    CrashLoop,
    /// The first deploy failed.
    Failed,
    /// Draining and terminating on request.
    Stopping,
    /// Stopped on request.
    Stopped,
}

/// One generation as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationStatus {
    /// Its number.
    pub number: GenerationNumber,
    /// The revision it runs.
    pub revision: RevisionNumber,
    /// Where it is in its life.
    pub phase: GenerationPhase,
    /// Its first process; 0 before the start and after the end.
    pub pid: i32,
    /// When its process was started.
    pub started: SystemTime,
    /// When it was ready.
    pub ready: Option<SystemTime>,
    /// When its first process had ended.
    pub ended: Option<SystemTime>,
    /// Calls in flight through the proxy.
    pub calls_in_flight: CallsInFlight,
    /// How its first process ended.
    pub exit: Option<Exit>,
}

/// Counts when it is asked: calls come and go without a new status being published.
#[derive(Clone)]
pub struct CallsInFlight(Arc<dyn Fn() -> u64 + Send + Sync>);

impl CallsInFlight {
    /// The calls that `count` gives.
    pub fn counted_by(count: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(count))
    }

    /// None, as before the first call and after the last.
    pub fn none() -> Self {
        Self::counted_by(|| 0)
    }

    /// How many there are now.
    pub fn now(&self) -> u64 {
        (self.0)()
    }
}

/// The way to count says nothing of how a status differs from another.
impl PartialEq for CallsInFlight {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for CallsInFlight {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.now())
    }
}

/// Where a generation is in its life; only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GenerationPhase {
    /// Started, not ready.
    Starting,
    /// New calls go to it.
    Serving,
    /// New calls go elsewhere; calls in flight end.
    Draining,
    /// SIGTERM was sent.
    Terminating,
    /// Its first process has ended; what else is left of it is killed and cleared away.
    Ended,
}

/// Where the time of a deploy went, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Parse, admit, journal.
    pub accept_us: u64,
    /// Fetch all artifacts.
    pub fetch_us: u64,
    /// Install all artifacts and compose them.
    pub install_us: u64,
    /// From the start of the process to healthy.
    pub start_us: u64,
    /// Moving the route.
    pub cut_over_us: u64,
    /// From the request to READY.
    pub total_us: u64,
}
