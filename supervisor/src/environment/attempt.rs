//! Attempts to bring a revision up, as those who follow them are told of them: steps, and where the time went.

use std::time::{Duration, Instant};

use super::{
    StepEvent,
    driver::Driver,
    progress::Progress,
    state::{Stage, Ticket, Told},
};
use crate::{
    artifact::{self, Prepared},
    words::{EnvironmentName, GenerationNumber, RevisionNumber, Timings},
};

/// Ended attempts whose steps are kept, so that a repeated request reads the same numbers: a caller repeats soon.
pub const ENDED_KEPT: usize = 8;

/// One attempt that somebody may follow.
pub struct Attempt {
    pub(super) progress: Progress,
    pub(super) request_id: Option<String>,
    pub(super) revision: RevisionNumber,
    pub(super) clock: Clock,
}

/// When the parts of an attempt were done.
#[derive(Clone, Copy)]
pub struct Clock {
    pub(super) accepted: Instant,
    pub(super) prepared: Option<Instant>,
    pub(super) fetch: Duration,
    pub(super) install: Duration,
    pub(super) ready: Option<Instant>,
}

impl Attempt {
    /// An attempt that was just accepted, for a request that arrived at `begun`.
    pub(super) fn new(
        name: &EnvironmentName,
        revision: RevisionNumber,
        request_id: Option<String>,
        begun: Instant,
    ) -> Self {
        let progress = Progress::new(name.clone(), revision, begun);
        let (fetch, install) = (Duration::ZERO, Duration::ZERO);
        let clock = Clock { accepted: Instant::now(), prepared: None, fetch, install, ready: None };
        Self { progress, request_id, revision, clock }
    }
}

impl Driver {
    pub(super) fn tell(&mut self, ticket: Ticket, told: Told) {
        let Some(attempt) = self.attempts.get(&ticket) else { return };
        let timings = attempt.clock.timings(attempt.progress.begun());
        let event = match told {
            Told::Accepted => StepEvent::Accepted,
            Told::Starting(generation) => StepEvent::Starting { generation },
            Told::Ready(generation) => StepEvent::Ready { generation, timings },
            Told::Failed(failure, still_serving) => StepEvent::Failed { failure, still_serving },
            Told::Superseded(by) => StepEvent::Superseded { by },
        };
        self.count(&event);
        attempt.progress.tell(event.clone());
        if event.is_final() {
            self.ended.extend(self.attempts.remove(&ticket));
            if self.ended.len() > ENDED_KEPT {
                self.ended.pop_front();
            }
        }
    }

    fn count(&self, event: &StepEvent) {
        let deploys = &self.world.metrics.deploys;
        match event {
            StepEvent::Ready { timings, .. } => deploys.ready(timings),
            StepEvent::Failed { failure, .. } => deploys.failed(failure.reason),
            StepEvent::Superseded { .. } => deploys.superseded(),
            _ => {}
        }
    }

    pub(super) fn note_prepared(&mut self, ticket: Ticket, prepared: &Prepared) {
        if let Some(attempt) = self.attempts.get_mut(&ticket) {
            attempt.clock.prepared = Some(Instant::now());
            (attempt.clock.fetch, attempt.clock.install) = (prepared.fetch_time, prepared.install_time);
        }
    }

    pub(super) fn note_ready(&mut self, generation: GenerationNumber) {
        let candidate = self.state.candidate.filter(|candidate| candidate.stage == Stage::Starting(generation));
        if let Some(attempt) = candidate.and_then(|candidate| self.attempts.get_mut(&candidate.ticket)) {
            attempt.clock.ready = Some(Instant::now());
        }
    }
}

impl Clock {
    /// Where the time went up to now.
    fn timings(self, begun: Instant) -> Timings {
        let us = |from: Instant, to: Instant| to.saturating_duration_since(from).as_micros() as u64;
        let now = Instant::now();
        let prepared = self.prepared.unwrap_or(now);
        let ready = self.ready.unwrap_or(now);
        Timings {
            accept_us: us(begun, self.accepted),
            fetch_us: self.fetch.as_micros() as u64,
            install_us: self.install.as_micros() as u64,
            start_us: us(prepared, ready),
            cut_over_us: us(ready, now),
            total_us: us(begun, now),
        }
    }
}

impl From<artifact::Progress> for StepEvent {
    fn from(progress: artifact::Progress) -> Self {
        match progress {
            artifact::Progress::Fetching { digest, bytes, total, cached } => {
                Self::Fetching { digest, bytes, total: (total > 0).then_some(total), cached }
            }
            artifact::Progress::Installing { digest, cached, done } => Self::Installing { digest, cached, done },
        }
    }
}
