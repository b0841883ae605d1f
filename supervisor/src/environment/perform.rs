//! Performs the actions that the state machine decides on: the only place where a decision meets the world.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{sync::mpsc, task::AbortHandle, time::sleep};

use super::{
    JournalError,
    driver::{Driver, Ending, Message},
    state::{Action, Event, Ticket, Unserved},
};
use crate::{
    artifact::Progress,
    route::Route,
    words::{RevisionNumber, with_causes},
};

impl Driver {
    pub(super) async fn perform_all(&mut self, todo: VecDeque<Action>) {
        for action in todo {
            self.perform(action).await;
        }
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Journal => self.journal_or_log().await,
            Action::Tell(ticket, told) => {
                // Who is told READY and asks at once must see it.
                self.publish();
                self.tell(ticket, told);
            }
            Action::Prepare(ticket, revision) => self.prepare(ticket, revision),
            Action::AbandonPrepare(ticket) => drop(self.preparing.remove(&ticket).inspect(AbortHandle::abort)),
            Action::Start(generation, revision) => self.start(generation, revision),
            Action::CutOver(generation) => self.cut_over(generation),
            Action::Unroute(why) => self.world.routes.set(&self.name, &why.into()),
            Action::Retire(generation) => self.retire(generation),
            Action::Terminate(generation) => self.terminate(generation),
            Action::Pause(length) => self.begin_pause(length),
            Action::CancelPause => drop(self.pause.take().inspect(|(task, _)| task.abort())),
            Action::Forget => self.forget().await,
        }
    }

    /// What serves goes on serving when the journal cannot be written; the next change tries again, and who asked for
    /// this one is told.
    async fn journal_or_log(&mut self) {
        if let Err(error) = self.journal().await {
            self.not_durable(error);
        }
    }

    fn not_durable(&mut self, error: Arc<JournalError>) {
        self.world.metrics.limits.counter("journal_writes").inc();
        tracing::error!(environment = %self.name, "failed to {}", with_causes(&*error));
        self.undurable = Some(error);
    }

    /// What the journal names stays on disk: rollback and restart need no byte from the network.
    pub(super) fn hold_artifacts(&mut self) {
        let wanted = self.state.wanted();
        let revisions = wanted.iter().filter_map(|number| self.state.revisions.get(number));
        let artifacts = revisions.flat_map(|revision| &revision.spec.artifacts);
        self.hold = Some(self.world.artifacts.hold(artifacts.map(|artifact| artifact.digest)));
    }

    fn prepare(&mut self, ticket: Ticket, revision: RevisionNumber) {
        let Some(revision) = self.state.revisions.get(&revision).cloned() else { return };
        let progress = self.attempts.get(&ticket).map(|attempt| attempt.progress.clone());
        let (world, inbox) = (Arc::clone(&self.world), self.inbox.clone());
        let task = tokio::spawn(async move {
            let tell = move |step: Progress| {
                if let Some(progress) = &progress {
                    progress.tell(step.into());
                }
            };
            let spec = &revision.spec;
            let mut result = world.artifacts.prepare(&spec.artifacts, spec.interpreter.as_deref(), tell).await;
            if let Ok(prepared) = &mut result {
                world.artifacts.compile_before_start(prepared, &spec.command.kind).await;
            }
            send(&inbox, Message::Prepared(ticket, result)).await;
        });
        self.preparing.insert(ticket, task.abort_handle());
    }

    pub(super) fn send_later(&self, after: Duration, event: Event) -> AbortHandle {
        let inbox = self.inbox.clone();
        let task = tokio::spawn(async move {
            sleep(after).await;
            send(&inbox, Message::Event(event)).await;
        });
        task.abort_handle()
    }

    fn begin_pause(&mut self, length: Duration) {
        self.restarts += 1;
        self.world.metrics.environments.restarted(&self.name);
        let task = self.send_later(length, Event::PauseOver);
        self.pause = Some((task, SystemTime::now() + length));
    }

    /// What cannot be forgotten for good stays, stopped: the next Remove tries again.
    async fn forget(&mut self) {
        let (journal, name) = (self.world.journal.clone(), self.name.clone());
        let removed = tokio::task::spawn_blocking(move || journal.remove(&name)).await;
        if let Err(error) = removed.expect("removing a record does not panic") {
            return self.not_durable(Arc::new(error));
        }
        self.ending = Ending::Forgotten;
        self.world.routes.remove(&self.name);
        self.world.metrics.forget(&self.name);
    }
}

/// Sends to the environment's own task; when that has ended nobody wants to know.
pub(super) async fn send(inbox: &mpsc::WeakSender<Message>, message: Message) {
    if let Some(inbox) = inbox.upgrade() {
        drop(inbox.send(message).await);
    }
}

impl From<Unserved> for Route {
    fn from(why: Unserved) -> Self {
        match why {
            Unserved::Starting => Self::Starting,
            Unserved::Failed(message) => Self::Failed { message },
            Unserved::Stopped => Self::Stopped,
        }
    }
}
