//! What doors ask of an environment: checked against its state, then handed to the state machine.
//!
//! Every refusal leaves the environment as it was.

use std::time::Instant;

use super::{
    StepEvent,
    attempt::Attempt,
    driver::{Driver, Ending, Reply, answer},
    progress::{Deployment, Progress},
    registry::{DeployOrder, RequestError},
    requests::{self, Outcome, Request},
    state::{Action, Event, Intent},
};
use crate::words::{EnvironmentStatus, Failure, FailureReason, Revision, RevisionNumber, Timings};

impl Driver {
    pub(super) async fn deploy(&mut self, order: DeployOrder) -> Result<Deployment, RequestError> {
        if self.ending == Ending::ShuttingDown {
            return Err(RequestError::ShuttingDown);
        }
        if let Some(known) = order.request_id.as_deref().and_then(|id| requests::find(&self.requests, id)) {
            return self.repeat(known, &order);
        }
        self.check_open()?;
        let newest = self.state.newest;
        if let Some(expected) = order.expected_revision.filter(|expected| *expected != newest) {
            return Err(RequestError::WrongRevision { expected, newest });
        }
        let DeployOrder { spec, request_id, received, .. } = order;
        let number = self.state.next_revision();
        let request = request_id.map(|id| Request { id, spec: spec.clone(), revision: number, outcome: None });
        let revision = Revision { number, spec, image: self.world.image.clone() };
        self.begin(number, Event::Accepted(revision), received, request).await
    }

    fn repeat(&self, known: &Request, order: &DeployOrder) -> Result<Deployment, RequestError> {
        if !known.spec.has_contents_of(&order.spec) {
            return Err(RequestError::RequestIdReused { id: known.id.clone(), revision: known.revision });
        }
        let mut kept = self.attempts.values().chain(&self.ended);
        let kept = kept.find(|attempt| attempt.request_id.as_ref() == Some(&known.id));
        Ok(kept.map_or_else(|| self.retell(known), |attempt| attempt.progress.follow()))
    }

    /// The steps of an attempt whose own list is gone: that it was accepted, and how it ended.
    fn retell(&self, known: &Request) -> Deployment {
        let progress = Progress::new(self.name.clone(), known.revision, Instant::now());
        progress.tell(StepEvent::Accepted);
        let unknown = "how it ended is not known any more; Get shows what serves";
        let unknown = || Outcome::Failed(Failure::new(FailureReason::Internal, unknown));
        progress.tell(known.outcome.clone().unwrap_or_else(unknown).retold());
        progress.follow()
    }

    pub(super) async fn restart(&mut self) -> Result<Deployment, RequestError> {
        self.check_open()?;
        let revision = self.state.restart_target().ok_or(RequestError::NothingToRestart)?;
        self.begin(revision, Event::RestartRequested(revision), Instant::now(), None).await
    }

    pub(super) async fn roll_back(&mut self, to: Option<RevisionNumber>) -> Result<Deployment, RequestError> {
        self.check_open()?;
        let to = to.or(self.state.previous).ok_or(RequestError::NothingToRollBackTo)?;
        let earlier = self.state.revisions.get(&to).ok_or(RequestError::NoSuchRevision { revision: to })?;
        let revision = Revision { number: self.state.next_revision(), ..earlier.clone() };
        self.begin(revision.number, Event::Accepted(revision), Instant::now(), None).await
    }

    fn check_open(&self) -> Result<(), RequestError> {
        match (self.ending, self.state.intent) {
            (Ending::ShuttingDown, _) => Err(RequestError::ShuttingDown),
            (Ending::Forgotten, _) | (_, Intent::Remove) => Err(RequestError::BeingRemoved { name: self.name.clone() }),
            (Ending::No, _) => Ok(()),
        }
    }

    /// Starts an attempt. If the journal cannot be written, nothing has happened.
    async fn begin(
        &mut self,
        revision: RevisionNumber,
        event: Event,
        received: Instant,
        request: Option<Request>,
    ) -> Result<Deployment, RequestError> {
        let before = (self.state.clone(), self.requests.clone());
        let request_id = request.as_ref().map(|request| request.id.clone());
        if let Some(request) = request {
            requests::remember(&mut self.requests, request);
        }
        let mut todo = self.decide(event);
        if todo.pop_front_if(|first| *first == Action::Journal).is_some()
            && let Err(error) = self.journal().await
        {
            (self.state, self.requests) = before;
            if self.state.newest == 0 {
                // It was made for this deploy, and there is nothing else of it.
                self.ending = Ending::Forgotten;
            }
            return Err(RequestError::Journal { source: error });
        }
        // Who waits for the end of a Stop waits in vain from here on.
        self.waiters.drain(..).for_each(|waiter| answer(waiter, Err(RequestError::Overtaken)));
        let attempt = Attempt::new(&self.name, revision, request_id, received);
        let deployment = attempt.progress.follow();
        self.attempts.insert(self.state.newest_ticket, attempt);
        self.perform_all(todo).await;
        Ok(deployment)
    }

    pub(super) async fn stop(&mut self, event: Event, reply: Reply<EnvironmentStatus>) {
        if self.ending == Ending::ShuttingDown {
            return answer(reply, Err(RequestError::ShuttingDown));
        }
        self.step(event).await;
        // Not before: what is published on the way is no answer yet.
        self.waiters.push(reply);
    }
}

impl Outcome {
    fn retold(&self) -> StepEvent {
        use StepEvent::{Failed, Ready, Superseded};
        match self.clone() {
            Self::Ready(generation) => Ready { generation, timings: Timings::default() },
            Self::Failed(failure) => Failed { failure, still_serving: None },
            Self::Superseded(by) => Superseded { by },
        }
    }
}
