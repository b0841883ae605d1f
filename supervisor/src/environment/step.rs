//! The life of one environment as a pure function: `State::step(event)` changes the state and says what to do.
//!
//! No clock, no IO, no tokio: every order of events can be tested, and is, against a model.

use super::{
    backoff,
    state::{
        Action, Candidate, Event, Intent, Life, Promised, RETIRING_MAX, REVISIONS_KEPT, Stage, State, Ticket, Told,
        Unserved,
    },
};
use crate::words::{Failure, FailureReason, GenerationNumber, Revision, RevisionNumber};

impl State {
    /// Applies one event. An event about an attempt or a generation that no longer matters changes nothing.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        let mut todo = Vec::new();
        match event {
            Event::Accepted(revision) => self.accept(revision, &mut todo),
            Event::RestartRequested(revision) => self.begin_candidate(revision, &mut todo),
            Event::StopRequested => self.stop(Intent::Stop, &mut todo),
            Event::RemoveRequested => self.stop(Intent::Remove, &mut todo),
            Event::Recovered => self.recover(&mut todo),
            Event::Prepared(ticket) => self.prepared(ticket, &mut todo),
            Event::PrepareFailed(ticket, failure) => self.prepare_failed(ticket, failure, &mut todo),
            Event::Ready(generation) => self.ready(generation, &mut todo),
            Event::Ended(generation, failure) => self.ended(generation, failure, &mut todo),
            Event::Gone(generation) => self.gone(generation, &mut todo),
            Event::PauseOver => self.pause_over(&mut todo),
            Event::Steady(generation) if self.serving() == Some(generation) => self.crashes.forget(),
            Event::Steady(_) => {}
        }
        todo
    }

    fn accept(&mut self, revision: Revision, todo: &mut Vec<Action>) {
        let number = revision.number;
        self.newest = number;
        self.revisions.insert(number, revision);
        self.begin_candidate(number, todo);
        self.forget_old_revisions();
    }

    fn begin_candidate(&mut self, revision: RevisionNumber, todo: &mut Vec<Action>) {
        let before = self.candidate.take();
        self.intent = Intent::Run;
        let ticket = self.new_ticket();
        self.candidate = Some(Candidate { ticket, revision, stage: Stage::Preparing });
        // First the journal: if it cannot be written nothing has happened yet.
        todo.push(Action::Journal);
        self.drop_candidate(before, &Told::Superseded(revision), todo);
        todo.push(Action::Tell(ticket, Told::Accepted));
        if self.promised.is_none() {
            todo.push(Action::Unroute(Unserved::Starting));
        }
        todo.push(Action::Prepare(ticket, revision));
    }

    fn drop_candidate(&mut self, candidate: Option<Candidate>, told: &Told, todo: &mut Vec<Action>) {
        let Some(candidate) = candidate else { return };
        match candidate.stage {
            Stage::Preparing => todo.push(Action::AbandonPrepare(candidate.ticket)),
            Stage::Starting(generation) => self.terminate(generation, todo),
        }
        todo.push(Action::Tell(candidate.ticket, told.clone()));
    }

    fn drop_promised(&mut self, todo: &mut Vec<Action>) -> Option<RevisionNumber> {
        let promised = self.promised.take()?;
        match promised.life {
            Life::Serving(generation) => self.retire(generation, todo),
            Life::Starting(generation) => self.terminate(generation, todo),
            Life::Preparing(ticket) => todo.push(Action::AbandonPrepare(ticket)),
            Life::Pausing => todo.push(Action::CancelPause),
        }
        Some(promised.revision)
    }

    fn stop(&mut self, intent: Intent, todo: &mut Vec<Action>) {
        // A Stop during a Remove does not keep what is to be forgotten.
        self.intent = if self.intent == Intent::Remove { Intent::Remove } else { intent };
        let stopped =
            Failure::new(FailureReason::Stopped, "the environment was stopped before this was ready; deploy again");
        let candidate = self.candidate.take();
        self.drop_candidate(candidate, &Told::Failed(stopped, None), todo);
        todo.push(Action::Unroute(Unserved::Stopped));
        if let Some(revision) = self.drop_promised(todo) {
            self.stopped = Some(revision);
        }
        todo.push(Action::Journal);
        self.forget_if_gone(todo);
    }

    fn recover(&mut self, todo: &mut Vec<Action>) {
        if self.intent == Intent::Stop {
            todo.push(Action::Unroute(Unserved::Stopped));
        } else if self.intent == Intent::Remove {
            self.forget_if_gone(todo);
        } else if self.promised.is_none() && self.candidate.is_none() {
            let failure = self.last_failure.as_ref().map_or_else(String::new, |failure| failure.message.clone());
            todo.push(Action::Unroute(Unserved::Failed(failure)));
        } else {
            todo.push(Action::Unroute(Unserved::Starting));
            self.begin_promised(todo);
            if let Some(candidate) = self.candidate.take() {
                self.begin_candidate(candidate.revision, todo);
            }
        }
    }

    fn begin_promised(&mut self, todo: &mut Vec<Action>) {
        let ticket = self.new_ticket();
        if let Some(promised) = &mut self.promised {
            promised.life = Life::Preparing(ticket);
            todo.push(Action::Prepare(ticket, promised.revision));
        }
    }

    fn prepared(&mut self, ticket: Ticket, todo: &mut Vec<Action>) {
        let generation = self.newest_generation + 1;
        if let Some(candidate) =
            self.candidate.as_mut().filter(|it| it.ticket == ticket && it.stage == Stage::Preparing)
        {
            candidate.stage = Stage::Starting(generation);
            let revision = candidate.revision;
            todo.extend([Action::Start(generation, revision), Action::Tell(ticket, Told::Starting(generation))]);
        } else if let Some(promised) = self.promised.as_mut().filter(|it| it.life == Life::Preparing(ticket)) {
            promised.life = Life::Starting(generation);
            todo.push(Action::Start(generation, promised.revision));
        } else {
            return;
        }
        self.newest_generation = generation;
    }

    fn prepare_failed(&mut self, ticket: Ticket, failure: Failure, todo: &mut Vec<Action>) {
        if self.candidate.is_some_and(|it| it.ticket == ticket && it.stage == Stage::Preparing) {
            self.candidate_failed(failure, todo);
        } else if self.promised.is_some_and(|it| it.life == Life::Preparing(ticket)) {
            self.promised_crashed(failure, todo);
        }
    }

    fn candidate_failed(&mut self, failure: Failure, todo: &mut Vec<Action>) {
        let Some(candidate) = self.candidate.take() else { return };
        self.last_failure = Some(failure.clone());
        if self.promised.is_none() {
            todo.push(Action::Unroute(Unserved::Failed(failure.message.clone())));
        }
        todo.extend([Action::Journal, Action::Tell(candidate.ticket, Told::Failed(failure, self.serving()))]);
    }

    fn promised_crashed(&mut self, failure: Failure, todo: &mut Vec<Action>) {
        let Some(promised) = &mut self.promised else { return };
        promised.life = Life::Pausing;
        self.crashes.count();
        todo.push(Action::Unroute(Unserved::Failed(failure.message.clone())));
        self.last_failure = Some(failure);
        todo.push(Action::Pause(backoff::pause(self.crashes)));
    }

    fn ready(&mut self, generation: GenerationNumber, todo: &mut Vec<Action>) {
        if let Some(candidate) = self.candidate.take_if(|it| it.stage == Stage::Starting(generation)) {
            todo.push(Action::CutOver(generation));
            let before = self.drop_promised(todo).or(self.stopped.take());
            self.previous = before.filter(|before| *before != candidate.revision).or(self.previous);
            self.promised = Some(Promised { revision: candidate.revision, life: Life::Serving(generation) });
            self.crashes.forget();
            self.last_failure = None;
            todo.extend([Action::Journal, Action::Tell(candidate.ticket, Told::Ready(generation))]);
        } else if let Some(promised) = self.promised.as_mut().filter(|it| it.life == Life::Starting(generation)) {
            promised.life = Life::Serving(generation);
            todo.push(Action::CutOver(generation));
        }
    }

    fn ended(&mut self, generation: GenerationNumber, failure: Option<Failure>, todo: &mut Vec<Action>) {
        let unexplained =
            || Failure::new(FailureReason::Internal, "the code server ended without a reason; see its logs");
        self.clearing.insert(generation);
        if self.retiring.remove(&generation) {
            return;
        }
        if self.candidate.is_some_and(|it| it.stage == Stage::Starting(generation)) {
            self.candidate_failed(failure.unwrap_or_else(unexplained), todo);
        } else if self
            .promised
            .is_some_and(|it| matches!(it.life, Life::Serving(g) | Life::Starting(g) if g == generation))
        {
            self.promised_crashed(failure.unwrap_or_else(unexplained), todo);
        }
    }

    fn gone(&mut self, generation: GenerationNumber, todo: &mut Vec<Action>) {
        self.clearing.remove(&generation);
        self.forget_if_gone(todo);
    }

    fn pause_over(&mut self, todo: &mut Vec<Action>) {
        if self.promised.is_some_and(|it| it.life == Life::Pausing) {
            self.begin_promised(todo);
        }
    }

    fn retire(&mut self, generation: GenerationNumber, todo: &mut Vec<Action>) {
        let too_many = (self.retiring.len() + 1).saturating_sub(RETIRING_MAX);
        todo.extend(self.retiring.iter().take(too_many).map(|oldest| Action::Terminate(*oldest)));
        self.retiring.insert(generation);
        todo.push(Action::Retire(generation));
    }

    fn terminate(&mut self, generation: GenerationNumber, todo: &mut Vec<Action>) {
        self.retiring.insert(generation);
        todo.push(Action::Terminate(generation));
    }

    fn forget_if_gone(&mut self, todo: &mut Vec<Action>) {
        if self.intent == Intent::Remove && self.is_gone() {
            todo.push(Action::Forget);
        }
    }

    fn new_ticket(&mut self) -> Ticket {
        self.newest_ticket += 1;
        self.newest_ticket
    }

    fn forget_old_revisions(&mut self) {
        let wanted = self.wanted();
        let newest = self.newest;
        self.revisions.retain(|number, _| wanted.contains(number) || number + REVISIONS_KEPT as u64 > newest);
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
