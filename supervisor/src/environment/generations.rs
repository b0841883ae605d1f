//! The generations of one environment: started, listened to, put behind the route, taken from it, buried.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use pexvisor_sandbox::Exit;
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    backoff,
    driver::{Driver, Message},
    perform::send,
    state::{Event, Intent, RETIRING_MAX},
    status::{DEAD_SHOWN_MAX, Living},
};
use crate::{
    artifact::Prepared,
    code_server::{self, Composition, Place, Plan, Report},
    metrics::{GenerationEnd, LimitMetrics},
    route::{Route, Target},
    words::{
        CallsInFlight, Failure, FailureReason, GenerationNumber, GenerationPhase, GenerationStatus, RevisionNumber,
    },
};

/// Reports of one code server that may wait: there are five in its whole life.
const REPORTS_MAX: usize = 5;

/// Generations of one environment that have a process, or remains that are being cleared away: one that serves, one that
/// starts, [`RETIRING_MAX`] that drain, and as many that are being ended. The next start waits for the end of one.
pub const GENERATIONS_MAX: usize = 2 * RETIRING_MAX + 2;

impl Driver {
    pub(super) fn start(&mut self, generation: GenerationNumber, revision: RevisionNumber) {
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
        let seats = Arc::clone(&self.seats);
        tokio::spawn(async move {
            let _seat = sit_down(&seats, &world.metrics.limits).await;
            code_server::run(plan, &world.surroundings, output, reports).await;
        });
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
                living.advance(GenerationPhase::Ended);
                living.status =
                    GenerationStatus { pid: 0, ended: Some(SystemTime::now()), exit, ..living.status.clone() };
                self.tell_end(generation, exit.as_ref(), failure.as_ref());
                self.step(Event::Ended(generation, failure)).await;
            }
            Report::Gone => {
                self.bury(generation);
                self.step(Event::Gone(generation)).await;
            }
        }
    }

    fn tell_end(&self, generation: GenerationNumber, exit: Option<&Exit>, failure: Option<&Failure>) {
        if let Some(Failure { reason, message, .. }) = failure {
            tracing::warn!(environment = %self.name, generation, ?reason, "{message}");
        }
        self.world.metrics.environments.ended(&self.name, ended_as(exit, failure, self.state.intent));
    }

    fn bury(&mut self, generation: GenerationNumber) {
        let Some(living) = self.living.remove(&generation) else { return };
        self.dead.push_back(living.status);
        if self.dead.len() > DEAD_SHOWN_MAX {
            self.dead.pop_front();
        }
    }

    /// New calls go to this generation from here on. The gate of the one before is closed by its retirement.
    pub(super) fn cut_over(&mut self, generation: GenerationNumber) {
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

    /// Lets calls in flight end within the revision's bound, then terminates.
    pub(super) fn retire(&mut self, generation: GenerationNumber) {
        let Some(living) = self.living.get_mut(&generation) else { return };
        living.advance(GenerationPhase::Draining);
        if self.state.retiring.len() > RETIRING_MAX {
            self.world.metrics.limits.counter("retiring_max").inc();
        }
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

    pub(super) fn terminate(&mut self, generation: GenerationNumber) {
        if let Some(living) = self.living.get_mut(&generation) {
            living.terminate.cancel();
        }
    }
}

/// A seat for one more generation; waits for one if there is none.
async fn sit_down<'a>(seats: &'a Semaphore, limits: &LimitMetrics) -> SemaphorePermit<'a> {
    if let Ok(seat) = seats.try_acquire() {
        return seat;
    }
    limits.counter("generations_max").inc();
    seats.acquire().await.expect("nobody closes it")
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
