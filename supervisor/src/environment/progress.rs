//! The progress of one attempt: an append-only list of steps that any number of followers read, late ones from its start.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use tokio::sync::watch;

use super::RequestError;
use crate::words::{Digest, EnvironmentName, Failure, GenerationNumber, RevisionNumber, Timings};

/// Most steps kept of one attempt. Beyond it FETCHING steps are dropped: ten a second for an hour of
/// fetching would otherwise be 36,000.
pub const STEPS_MAX: usize = 512;

/// One numbered step of one attempt.
#[derive(Clone, Debug)]
pub struct Step {
    /// From 1, without gaps.
    pub sequence: u64,
    /// When it happened.
    pub time: SystemTime,
    /// Where.
    pub environment: EnvironmentName,
    /// The revision that is brought up.
    pub revision: RevisionNumber,
    /// What happened.
    pub event: StepEvent,
}

/// What happened in a step.
#[derive(Clone, Debug)]
pub enum StepEvent {
    /// Numbered and journalled.
    Accepted,
    /// Bytes of an artifact arrived.
    Fetching {
        /// Which artifact.
        digest: Digest,
        /// So far.
        bytes: u64,
        /// In all, when known.
        total: Option<u64>,
        /// It was on disk.
        cached: bool,
    },
    /// An artifact is being installed.
    Installing {
        /// Which artifact.
        digest: Digest,
        /// It was installed before.
        cached: bool,
        /// It is complete.
        done: bool,
    },
    /// A code server was started.
    Starting {
        /// Its generation.
        generation: GenerationNumber,
    },
    /// The route has moved.
    Ready {
        /// To this generation.
        generation: GenerationNumber,
        /// Where the time went.
        timings: Timings,
    },
    /// It will not run.
    Failed {
        /// Why.
        failure: Failure,
        /// What goes on serving.
        still_serving: Option<GenerationNumber>,
    },
    /// A newer revision took its place.
    Superseded {
        /// The newer one.
        by: RevisionNumber,
    },
}

impl StepEvent {
    /// No step follows this one.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Failed { .. } | Self::Superseded { .. })
    }
}

/// The writing side; clones write to the same list.
#[derive(Clone)]
pub struct Progress(Arc<Shared>);

struct Shared {
    environment: EnvironmentName,
    revision: RevisionNumber,
    steps: Mutex<Vec<Step>>,
    told: watch::Sender<Told>,
    /// When the request arrived.
    pub begun: Instant,
}

/// What followers wait for.
#[derive(Clone, Copy, Default)]
struct Told {
    steps: usize,
    /// The supervisor stops: no step will follow.
    cut_off: bool,
}

impl Progress {
    /// An empty list; `begun` is when the request arrived.
    pub fn new(environment: EnvironmentName, revision: RevisionNumber, begun: Instant) -> Self {
        let (steps, told) = (Mutex::default(), watch::Sender::default());
        Self(Arc::new(Shared { environment, revision, steps, told, begun }))
    }

    /// When the request arrived.
    pub fn begun(&self) -> Instant {
        self.0.begun
    }

    /// Appends a step. Nothing is appended after a final one.
    pub fn tell(&self, event: StepEvent) {
        let mut steps = self.0.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.last().is_some_and(|last| last.event.is_final()) {
            return;
        }
        if steps.len() >= STEPS_MAX && matches!(event, StepEvent::Fetching { .. }) {
            return;
        }
        let sequence = steps.len() as u64 + 1;
        let Shared { environment, revision, .. } = &*self.0;
        steps.push(Step {
            sequence,
            time: SystemTime::now(),
            environment: environment.clone(),
            revision: *revision,
            event,
        });
        self.0.told.send_modify(|told| told.steps = steps.len());
    }

    /// The supervisor stops before the final step.
    pub fn cut_off(&self) {
        self.0.told.send_modify(|told| told.cut_off = true);
    }

    /// A reader that starts at the first step.
    pub fn follow(&self) -> Deployment {
        Deployment { shared: Arc::clone(&self.0), told: self.0.told.subscribe(), read: 0, ended: false }
    }
}

/// A reader of one attempt's steps: history first, then live.
pub struct Deployment {
    shared: Arc<Shared>,
    told: watch::Receiver<Told>,
    read: usize,
    ended: bool,
}

impl Deployment {
    /// The next step; `None` after the final one. An error, the last thing too, when the supervisor stops before it.
    pub async fn next(&mut self) -> Option<Result<Step, RequestError>> {
        if self.ended {
            return None;
        }
        let read = self.read;
        self.told.wait_for(|told| told.steps > read || told.cut_off).await.ok()?;
        let step = self.shared.steps.lock().unwrap_or_else(PoisonError::into_inner).get(read).cloned();
        self.read += 1;
        self.ended = step.as_ref().is_none_or(|step| step.event.is_final());
        Some(step.ok_or(RequestError::ShuttingDown))
    }
}
