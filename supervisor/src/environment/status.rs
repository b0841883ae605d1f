//! What others see of an environment: built from the driver's data and published after every message.

use std::{path::Path, sync::Arc, time::SystemTime};

use tokio_util::sync::CancellationToken;

use super::{
    driver::{Driver, Ending, answer},
    registry::RequestError,
    state::State,
};
use crate::{
    artifact::Prepared,
    route::Target,
    words::{CallsInFlight, EnvironmentName, EnvironmentStatus, GenerationPhase, GenerationStatus, Phase},
};

/// Dead generations that are still shown: as many as have their output kept beside the living one.
pub const DEAD_SHOWN_MAX: usize = 3;

/// A generation that has a process, may have one, or has left something that is being cleared away.
pub struct Living {
    /// What is shown of it.
    pub status: GenerationStatus,
    /// What it runs, held against the sweep while it lives.
    pub prepared: Prepared,
    /// Told to terminate.
    pub terminate: CancellationToken,
    /// Where calls go, once it is ready.
    pub target: Option<Arc<Target>>,
}

impl Living {
    /// A generation may only move down the list of phases.
    pub fn advance(&mut self, phase: GenerationPhase) {
        self.status.phase = self.status.phase.max(phase);
    }

    fn shown(&self) -> GenerationStatus {
        let Some(target) = self.target.clone() else { return self.status.clone() };
        let calls_in_flight = CallsInFlight::counted_by(move || target.in_flight());
        GenerationStatus { calls_in_flight, ..self.status.clone() }
    }
}

impl Driver {
    /// Publishes the present status and answers those who wait for the end of a stop.
    pub(super) fn publish(&mut self) {
        let phase = self.state.phase();
        if phase != self.phase.0 {
            tracing::info!(environment = %self.name, "{:?} => {phase:?}", self.phase.0);
            self.phase = (phase, SystemTime::now());
        }
        let status = self.publisher.publish(self.status());
        if self.ending == Ending::No && self.living.is_empty() && phase == Phase::Stopped {
            let outcome = match &self.undurable {
                Some(source) => Err(RequestError::StopNotDurable { source: Arc::clone(source) }),
                None => Ok(status),
            };
            self.waiters.drain(..).for_each(|waiter| answer(waiter, outcome.clone()));
        }
    }

    pub(super) fn status(&self) -> EnvironmentStatus {
        let first = first(&self.name, &self.state, &self.world.door(&self.name), self.phase);
        let generations = self.dead.iter().cloned().chain(self.living.values().map(Living::shown)).collect();
        let next_restart = self.pause.as_ref().map(|(_, due)| *due);
        EnvironmentStatus { generations, restarts: self.restarts, next_restart, ..first }
    }
}

/// What the state alone tells; the publisher sets the numbers.
pub fn first(
    name: &EnvironmentName,
    state: &State,
    door: &Path,
    (phase, phase_since): (Phase, SystemTime),
) -> EnvironmentStatus {
    let shown = state.promised.map(|it| it.revision).or(state.stopped).unwrap_or(state.newest);
    EnvironmentStatus {
        name: name.clone(),
        version: 0,
        born: 0,
        phase,
        phase_since,
        newest: state.newest,
        serving: state.promised.map(|it| it.revision),
        deploying: state.candidate.map(|it| it.revision),
        previous: state.previous,
        generations: Vec::new(),
        last_failure: state.last_failure.clone(),
        restarts: 0,
        next_restart: None,
        socket: door.to_string_lossy().into_owned(),
        revision: state.revisions.get(&shown).cloned(),
    }
}
