//! Performs the actions that the state machine decides on: the only place where a decision meets the world.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use pexvisor_sandbox::Exit;
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    StepEvent, backoff,
    driver::{Clock, Driver, ENDED_KEPT, Ending, Message},
    state::{Action, Event, Intent, Stage, Ticket, Told, Unserved},
    status::{DEAD_SHOWN_MAX, Living},
};
use crate::{
    artifact::{Prepared, Progress},
    code_server::{self, Composition, Place, Plan, Report},
    metrics::GenerationEnd,
    route::{Route, Target},
    words::{
        CallsInFlight, Failure, FailureReason, GenerationNumber, GenerationPhase, GenerationStatus, RevisionNumber,
        Timings, with_causes,
    },
};

/// Reports of one code server that may wait: there are four in its whole life.
const REPORTS_MAX: usize = 4;

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

    /// What serves goes on serving when the journal cannot be written; the next change tries again.
    async fn journal_or_log(&mut self) {
        if let Err(error) = self.journal().await {
            self.world.metrics.limits.counter("journal_writes").inc();
            tracing::error!(environment = %self.name, "failed to {}", with_causes(&error));
        }
    }

    /// What the journal names stays on disk: rollback and restart need no byte from the network.
    pub(super) fn hold_artifacts(&mut self) {
        let wanted = self.state.wanted();
        let revisions = wanted.iter().filter_map(|number| self.state.revisions.get(number));
        let artifacts = revisions.flat_map(|revision| &revision.spec.artifacts);
        self.hold = Some(self.world.artifacts.hold(artifacts.map(|artifact| artifact.digest)));
    }

    fn tell(&mut self, ticket: Ticket, told: Told) {
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
            let result = world.artifacts.prepare(&spec.artifacts, spec.interpreter.as_deref(), tell).await;
            send(&inbox, Message::Prepared(ticket, result)).await;
        });
        self.preparing.insert(ticket, task.abort_handle());
    }

    pub(super) fn note_prepared(&mut self, ticket: Ticket, prepared: &Prepared) {
        if let Some(attempt) = self.attempts.get_mut(&ticket) {
            attempt.clock.prepared = Some(Instant::now());
            (attempt.clock.fetch, attempt.clock.install) = (prepared.fetch_time, prepared.install_time);
        }
    }

    fn note_ready(&mut self, generation: GenerationNumber) {
        let candidate = self.state.candidate.filter(|candidate| candidate.stage == Stage::Starting(generation));
        if let Some(attempt) = candidate.and_then(|candidate| self.attempts.get_mut(&candidate.ticket)) {
            attempt.clock.ready = Some(Instant::now());
        }
    }

    fn start(&mut self, generation: GenerationNumber, revision: RevisionNumber) {
        let prepared = self.prepared.take().expect("a start follows the news that its artifacts are prepared");
        let revision = self.state.revisions.get(&revision).cloned().expect("a wanted revision is kept");
        let place = Place::of(&self.world.state_dir, &self.name, generation);
        let terminate = CancellationToken::new();
        let status = GenerationStatus {
            number: generation,
            revision: revision.number,
            phase: GenerationPhase::Starting,
            pid: 0,
            started: SystemTime::now(),
            ready: None,
            ended: None,
            calls_in_flight: CallsInFlight::none(),
            exit: None,
        };
        let plan = Plan { place, revision, composition: composition(&prepared), terminate: terminate.clone() };
        self.living.insert(generation, Living { status, prepared, terminate, target: None });
        self.world.metrics.environments.started(&self.name);
        let (world, inbox, output) = (Arc::clone(&self.world), self.inbox.clone(), self.output.clone());
        let (reports, mut news) = mpsc::channel(REPORTS_MAX);
        tokio::spawn(async move { code_server::run(plan, &world.surroundings, output, reports).await });
        tokio::spawn(async move {
            while let Some(report) = news.recv().await {
                send(&inbox, Message::Report(generation, report)).await;
            }
        });
    }

    /// News from a code server.
    pub(super) async fn report(&mut self, generation: GenerationNumber, report: Report) {
        let Some(living) = self.living.get_mut(&generation) else { return };
        match report {
            Report::Started { pid } => living.status.pid = pid,
            Report::Ready { socket } => {
                living.status.ready = Some(SystemTime::now());
                living.target = Some(Arc::new(Target::new(generation, socket)));
                self.note_ready(generation);
                self.step(Event::Ready(generation)).await;
            }
            Report::Terminating => living.advance(GenerationPhase::Terminating),
            Report::Ended { exit, failure } => {
                living.status.exit = exit;
                self.bury(generation);
                self.world
                    .metrics
                    .environments
                    .ended(&self.name, ended_as(exit.as_ref(), failure.as_ref(), self.state.intent));
                self.step(Event::Ended(generation, failure)).await;
            }
        }
    }

    fn bury(&mut self, generation: GenerationNumber) {
        let Some(mut living) = self.living.remove(&generation) else { return };
        living.advance(GenerationPhase::Ended);
        let status = GenerationStatus { pid: 0, ended: Some(SystemTime::now()), ..living.status };
        self.dead.push_back(status);
        if self.dead.len() > DEAD_SHOWN_MAX {
            self.dead.pop_front();
        }
    }

    /// New calls go to this generation from here on. The gate of the one before is closed by its retirement.
    fn cut_over(&mut self, generation: GenerationNumber) {
        let Some(living) = self.living.get_mut(&generation) else { return };
        let Some(target) = living.target.clone() else { return };
        living.advance(GenerationPhase::Serving);
        if living.status.revision != self.restarts_of {
            self.restarts_of = living.status.revision;
            self.restarts = 0;
        }
        tracing::info!(environment = %self.name, generation = target.generation(), "cut over");
        self.world.routes.set(&self.name, &Route::Serving(target));
        self.world.artifacts.compile_later(&living.prepared);
        self.send_later(backoff::STEADY_AFTER, Event::Steady(generation));
    }

    fn send_later(&self, after: Duration, event: Event) -> AbortHandle {
        let inbox = self.inbox.clone();
        let task = tokio::spawn(async move {
            sleep(after).await;
            send(&inbox, Message::Event(event)).await;
        });
        task.abort_handle()
    }

    /// Lets calls in flight end within the revision's bound, then terminates.
    pub(super) fn retire(&mut self, generation: GenerationNumber) {
        let Some(living) = self.living.get_mut(&generation) else { return };
        living.advance(GenerationPhase::Draining);
        let Some(target) = living.target.clone() else { return living.terminate.cancel() };
        let spec = self.state.revisions.get(&living.status.revision).map(|revision| &revision.spec);
        let bound = spec.map_or(Duration::ZERO, |spec| spec.drain_timeout);
        let (terminate, reached) = (living.terminate.clone(), self.world.metrics.limits.counter("drain_timeout"));
        target.close();
        tokio::spawn(async move {
            if timeout(bound, target.drained()).await.is_err() {
                reached.inc();
            }
            terminate.cancel();
        });
    }

    fn terminate(&mut self, generation: GenerationNumber) {
        if let Some(living) = self.living.get_mut(&generation) {
            living.terminate.cancel();
        }
    }

    fn begin_pause(&mut self, length: Duration) {
        self.restarts += 1;
        self.world.metrics.environments.restarted(&self.name);
        let task = self.send_later(length, Event::PauseOver);
        self.pause = Some((task, SystemTime::now() + length));
    }

    async fn forget(&mut self) {
        self.ending = Ending::Forgotten;
        self.world.routes.remove(&self.name);
        self.world.metrics.forget(&self.name);
        let (journal, name) = (self.world.journal.clone(), self.name.clone());
        let removed = tokio::task::spawn_blocking(move || journal.remove(&name)).await;
        if let Ok(Err(error)) = removed {
            tracing::error!(environment = %self.name, "failed to {error}");
        }
    }
}

/// Sends to the environment's own task; when that has ended nobody wants to know.
async fn send(inbox: &mpsc::WeakSender<Message>, message: Message) {
    if let Some(inbox) = inbox.upgrade() {
        drop(inbox.send(message).await);
    }
}

/// What a code server needs to know of its artifacts.
fn composition(prepared: &Prepared) -> Composition {
    let all_scripts = prepared.manifests.iter().flat_map(|manifest| manifest.scripts.keys());
    let console_scripts = all_scripts.filter(|name| prepared.script(name).is_some()).cloned().collect();
    let inject_env = prepared.manifests.iter().flat_map(|manifest| manifest.inject_env.clone()).collect();
    Composition {
        venv: prepared.venv.clone(),
        python: prepared.python.clone(),
        console_scripts,
        has_entry_point: prepared.has_entry_point(),
        sources: prepared.sources.iter().rev().cloned().collect(),
        working_directory: prepared.working_directory_root.clone(),
        inject_env,
    }
}

fn ended_as(exit: Option<&Exit>, failure: Option<&Failure>, intent: Intent) -> GenerationEnd {
    match failure.map(|failure| failure.reason) {
        None if intent == Intent::Run => GenerationEnd::Replaced,
        None => GenerationEnd::Stopped,
        Some(_) if exit.is_some_and(|exit| exit.out_of_memory) => GenerationEnd::OutOfMemory,
        Some(FailureReason::StartTimeout) => GenerationEnd::StartTimeout,
        Some(FailureReason::LostHealth) => GenerationEnd::LostHealth,
        Some(FailureReason::Exited | FailureReason::Crashed) => GenerationEnd::Exited,
        Some(_) => GenerationEnd::Refused,
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

impl From<Progress> for StepEvent {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Fetching { digest, bytes, total, cached } => {
                Self::Fetching { digest, bytes, total: (total > 0).then_some(total), cached }
            }
            Progress::Installing { digest, cached, done } => Self::Installing { digest, cached, done },
        }
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
