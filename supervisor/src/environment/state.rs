//! The state of one environment, what can happen to it, and what may have to be done. How they go together is `step`.
//!
//! Plain data without clock, IO or tokio. Two tracks run side by side: the *promised* revision, which was READY and is kept
//! serving whatever happens, and the *candidate*, which is on its way and replaces the promised one only when it is
//! ready itself. A generation that belongs to neither is *retiring*, or has ended and is being *cleared* away, and is only
//! waited for.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::backoff::Crashes;
use crate::words::{Failure, GenerationNumber, Phase, Revision, RevisionNumber};

/// Identifies one attempt to bring a revision up; a late answer to an older attempt is told apart by it.
pub type Ticket = u64;

/// How many generations of one environment may drain at once; the oldest is terminated to make room. Each holds a
/// whole code server in memory, and a client that never hangs up must not collect them.
pub const RETIRING_MAX: usize = 4;

/// Revisions kept for a rollback by number. A spec is about a kilobyte in the journal.
pub const REVISIONS_KEPT: usize = 16;

/// Everything that decides what an environment does next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Revisions that may still be wanted, by number.
    pub revisions: BTreeMap<RevisionNumber, Revision>,
    /// The newest number given to a revision.
    pub newest: RevisionNumber,
    /// The newest number given to a generation.
    pub newest_generation: GenerationNumber,
    /// The newest ticket given to an attempt.
    pub newest_ticket: Ticket,
    /// What the user wants of the environment as a whole.
    pub intent: Intent,
    /// The revision that was READY last, and how far its next or present generation is.
    pub promised: Option<Promised>,
    /// The revision on its way.
    pub candidate: Option<Candidate>,
    /// The revision that was promised before.
    pub previous: Option<RevisionNumber>,
    /// What was promised when the environment was stopped; Restart brings it back.
    pub stopped: Option<RevisionNumber>,
    /// Generations that have been told to go.
    pub retiring: BTreeSet<GenerationNumber>,
    /// Generations that have ended, whose remains are being killed and cleared away.
    pub clearing: BTreeSet<GenerationNumber>,
    /// Crashes in a row of the promised revision.
    pub crashes: Crashes,
    /// The last failure, until a candidate is ready.
    pub last_failure: Option<Failure>,
}

/// What the user wants of the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// That it runs.
    #[default]
    Run,
    /// That it stays stopped.
    Stop,
    /// That it is forgotten.
    Remove,
}

/// The revision that is kept serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promised {
    /// Its number.
    pub revision: RevisionNumber,
    /// How far it is.
    pub life: Life,
}

/// How far the promised revision is from serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// This generation serves.
    Serving(GenerationNumber),
    /// Its code server died; the next start waits for the end of a pause.
    Pausing,
    /// Artifacts are being made ready.
    Preparing(Ticket),
    /// This generation was started and is not ready.
    Starting(GenerationNumber),
}

/// The revision on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The attempt.
    pub ticket: Ticket,
    /// What it brings up.
    pub revision: RevisionNumber,
    /// How far it is.
    pub stage: Stage,
}

/// How far a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Artifacts are being fetched and installed.
    Preparing,
    /// This generation was started and is not ready.
    Starting(GenerationNumber),
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new revision was numbered with [`State::next_revision`] and is to be deployed.
    Accepted(Revision),
    /// The revision given is to be started anew, beside what serves.
    RestartRequested(RevisionNumber),
    /// The environment is to stop.
    StopRequested,
    /// The environment is to be forgotten.
    RemoveRequested,
    /// The supervisor has read this state from the journal and starts.
    Recovered,
    /// Artifacts are ready for this attempt.
    Prepared(Ticket),
    /// Artifacts cannot be made ready for this attempt.
    PrepareFailed(Ticket, Failure),
    /// This generation answers its health check.
    Ready(GenerationNumber),
    /// The first process of this generation has ended. A failure, if it was not told to go.
    Ended(GenerationNumber, Option<Failure>),
    /// Nothing of this generation is left.
    Gone(GenerationNumber),
    /// The pause before a restart is over.
    PauseOver,
    /// The serving generation has run long enough for its crashes to be forgotten.
    Steady(GenerationNumber),
}

/// Something to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the state durable before going on.
    Journal,
    /// Tell those who follow this attempt.
    Tell(Ticket, Told),
    /// Fetch, install and compose.
    Prepare(Ticket, RevisionNumber),
    /// The result of this preparation is not wanted any more.
    AbandonPrepare(Ticket),
    /// Start a code server; for whom is told by the ticket, if a deploy follows it.
    Start(GenerationNumber, RevisionNumber),
    /// Move the route to this generation.
    CutOver(GenerationNumber),
    /// Nothing serves; answer calls with this.
    Unroute(Unserved),
    /// Let calls in flight end, then terminate.
    Retire(GenerationNumber),
    /// Terminate without waiting for calls.
    Terminate(GenerationNumber),
    /// Send `PauseOver` after this time.
    Pause(Duration),
    /// Do not send `PauseOver`.
    CancelPause,
    /// Delete everything that belongs to the environment.
    Forget,
}

/// What the followers of an attempt are told by the state machine; progress in between comes from the work itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Numbered and journalled.
    Accepted,
    /// A code server was started.
    Starting(GenerationNumber),
    /// The route has moved.
    Ready(GenerationNumber),
    /// It will not run.
    Failed(Failure, Option<GenerationNumber>),
    /// A newer revision took its place.
    Superseded(RevisionNumber),
}

/// Why nothing serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// It will, soon.
    Starting,
    /// It failed or died.
    Failed(String),
    /// It was stopped.
    Stopped,
}

impl State {
    /// The number for the next revision.
    pub fn next_revision(&self) -> RevisionNumber {
        self.newest + 1
    }

    /// What the environment is doing, for people.
    pub fn phase(&self) -> Phase {
        match (self.intent, &self.promised, &self.candidate) {
            (Intent::Stop | Intent::Remove, _, _) if self.is_gone() => Phase::Stopped,
            (Intent::Stop | Intent::Remove, _, _) => Phase::Stopping,
            (Intent::Run, Some(Promised { life: Life::Serving(_), .. }), _) => Phase::Serving,
            (Intent::Run, Some(_), _) if self.crashes.is_loop() => Phase::CrashLoop,
            (Intent::Run, Some(_), _) => Phase::Restarting,
            (Intent::Run, None, Some(_)) => Phase::Deploying,
            (Intent::Run, None, None) if self.newest == 0 => Phase::Deploying,
            (Intent::Run, None, None) => Phase::Failed,
        }
    }

    /// Of those that were told to go or have ended, is nothing left?
    pub fn is_gone(&self) -> bool {
        self.retiring.is_empty() && self.clearing.is_empty()
    }

    /// The generation that new calls go to.
    pub fn serving(&self) -> Option<GenerationNumber> {
        match self.promised {
            Some(Promised { life: Life::Serving(generation), .. }) => Some(generation),
            _ => None,
        }
    }

    /// The revision that Restart starts anew: what is promised, else what was stopped, else the newest that was tried.
    pub fn restart_target(&self) -> Option<RevisionNumber> {
        let newest = self.revisions.last_key_value().map(|(number, _)| *number);
        self.promised.map(|promised| promised.revision).or(self.stopped).or(newest)
    }

    /// Revisions in use, whatever their age.
    pub fn wanted(&self) -> BTreeSet<RevisionNumber> {
        let promised = self.promised.map(|it| it.revision);
        let candidate = self.candidate.map(|it| it.revision);
        [promised, candidate, self.previous, self.stopped].into_iter().flatten().collect()
    }
}
