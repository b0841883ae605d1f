//! One task per environment: takes commands and news in turn, steps the state, and hands its actions to `perform`.
//!
//! The task never waits for work: fetches, starts and drains run beside it and report back through its inbox, which
//! is why a hung environment blocks neither its own commands nor anybody else's.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
};

use super::{
    changes::{Board, Publisher},
    journal::Journal,
    progress::{Deployment, Progress},
    registry::{DeployOrder, RequestError},
    requests::{self, Outcome, Request},
    state::{Action, Event, Intent, State, Ticket},
    status::{self, Living},
};
use crate::{
    artifact::{Artifacts, Hold, Prepared},
    code_server::{Output, Report, Surroundings},
    metrics::Metrics,
    route::Routes,
    words::{
        EnvironmentName, EnvironmentStatus, Failure, GenerationNumber, GenerationStatus, Phase, Revision,
        RevisionNumber,
    },
};

/// Messages that may wait for one environment. Each caller waits for room, so a flood of commands delays its callers.
pub const INBOX_MAX: usize = 64;

/// What every environment stands on. One for the whole supervisor.
pub struct World {
    /// Under which everything lives.
    pub state_dir: PathBuf,
    /// Identity of the container image, kept in every revision.
    pub image: String,
    /// Fetch, install, compose.
    pub artifacts: Artifacts,
    /// The proxy's table.
    pub routes: Routes,
    /// What survives.
    pub journal: Journal,
    /// What code servers are started with.
    pub surroundings: Surroundings,
    /// Counters.
    pub metrics: Metrics,
}

impl World {
    /// The unix socket on which the proxy serves one environment.
    pub fn door(&self, name: &EnvironmentName) -> PathBuf {
        self.state_dir.join("doors").join(format!("{}.sock", name.short_hash()))
    }
}

/// What arrives in the inbox.
pub enum Message {
    /// From a door.
    Command(Command),
    /// Artifacts are ready, or cannot be.
    Prepared(Ticket, Result<Prepared, Failure>),
    /// From a code server.
    Report(GenerationNumber, Report),
    /// From a timer.
    Event(Event),
    /// The supervisor stops: end all generations, keep the promise for the next start.
    ShutDown,
}

/// What a door asks for.
pub enum Command {
    /// A new revision.
    Deploy(Box<DeployOrder>, Reply<Deployment>),
    /// A new generation of the serving revision.
    Restart(Reply<Deployment>),
    /// The contents of an earlier revision again.
    Rollback(Option<RevisionNumber>, Reply<Deployment>),
    /// Answered when no process is left.
    Stop(Reply<EnvironmentStatus>),
    /// Answered when nothing is left.
    Remove(Reply<EnvironmentStatus>),
}

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, RequestError>>;

/// The task's own data.
pub struct Driver {
    pub(super) name: EnvironmentName,
    pub(super) output: Output,
    pub(super) inbox: mpsc::WeakSender<Message>,
    pub(super) world: Arc<World>,
    pub(super) state: State,
    pub(super) requests: VecDeque<Request>,
    pub(super) attempts: HashMap<Ticket, Attempt>,
    pub(super) ended: VecDeque<Attempt>,
    pub(super) preparing: HashMap<Ticket, AbortHandle>,
    /// What the next start runs; set by the news that it is prepared.
    pub(super) prepared: Option<Prepared>,
    pub(super) pause: Option<(AbortHandle, SystemTime)>,
    pub(super) living: BTreeMap<GenerationNumber, Living>,
    pub(super) dead: VecDeque<GenerationStatus>,
    pub(super) publisher: Publisher,
    /// Keeps the artifacts of wanted revisions on disk.
    pub(super) hold: Option<Hold>,
    pub(super) phase: (Phase, SystemTime),
    pub(super) restarts: u32,
    /// The revision that they are counted for.
    pub(super) restarts_of: RevisionNumber,
    pub(super) waiters: Vec<Reply<EnvironmentStatus>>,
    pub(super) ending: Ending,
}

/// Who waits for the end of a Stop or Remove.
pub struct Waiters {
    replies: Vec<Reply<EnvironmentStatus>>,
    status: EnvironmentStatus,
}

impl Waiters {
    /// Tells all of them.
    pub fn answer(self) {
        self.replies.into_iter().for_each(|reply| answer(reply, Ok(self.status.clone())));
    }
}

/// Is the task to go on?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Yes.
    No,
    /// The supervisor stops: until the last generation has ended.
    ShuttingDown,
    /// The environment is forgotten.
    Forgotten,
}

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

/// Who the task is.
pub struct About {
    /// The environment's name.
    pub name: EnvironmentName,
    /// What its code servers wrote.
    pub output: Output,
    /// Its own inbox; weak, so that it closes when the registry lets go.
    pub inbox: mpsc::WeakSender<Message>,
}

impl Driver {
    /// A task that has not begun, and the reader of its status.
    pub fn new(
        about: About,
        world: Arc<World>,
        state: State,
        requests: VecDeque<Request>,
        board: &Board,
    ) -> (Self, watch::Receiver<EnvironmentStatus>) {
        let About { name, output, inbox } = about;
        let phase = (state.phase(), SystemTime::now());
        let first = status::first(&name, &state, &world.door(&name), phase);
        let (publisher, reader) = board.publisher(first);
        let driver = Self {
            name,
            output,
            inbox,
            world,
            state,
            requests,
            attempts: HashMap::new(),
            ended: VecDeque::new(),
            preparing: HashMap::new(),
            prepared: None,
            pause: None,
            living: BTreeMap::new(),
            dead: VecDeque::new(),
            publisher,
            hold: None,
            phase,
            restarts: 0,
            restarts_of: 0,
            waiters: Vec::new(),
            ending: Ending::No,
        };
        (driver, reader)
    }

    /// Runs until the environment is forgotten, or the supervisor stops and the last generation has ended.
    /// Returns those who wait for its end.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Message>) -> Waiters {
        while !self.is_done() {
            let Some(message) = inbox.recv().await else { break };
            self.handle(message).await;
            self.publish();
        }
        Waiters { status: self.status(), replies: self.waiters }
    }

    fn is_done(&self) -> bool {
        match self.ending {
            Ending::No => false,
            Ending::ShuttingDown => self.living.is_empty(),
            Ending::Forgotten => true,
        }
    }

    async fn handle(&mut self, message: Message) {
        match message {
            Message::Command(command) => self.command(command).await,
            Message::Prepared(ticket, Ok(prepared)) => {
                self.note_prepared(ticket, &prepared);
                self.prepared = Some(prepared);
                self.step(Event::Prepared(ticket)).await;
            }
            Message::Prepared(ticket, Err(failure)) => self.step(Event::PrepareFailed(ticket, failure)).await,
            Message::Report(generation, report) => self.report(generation, report).await,
            Message::Event(event) => self.step(event).await,
            Message::ShutDown => self.shut_down(),
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Deploy(order, reply) => answer(reply, self.deploy(*order).await),
            Command::Restart(reply) => answer(reply, self.restart().await),
            Command::Rollback(to, reply) => answer(reply, self.roll_back(to).await),
            Command::Stop(reply) => self.stop(Event::StopRequested, reply).await,
            Command::Remove(reply) => self.stop(Event::RemoveRequested, reply).await,
        }
    }

    async fn deploy(&mut self, order: DeployOrder) -> Result<Deployment, RequestError> {
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
        if known.spec != order.spec {
            return Err(RequestError::RequestIdReused { id: known.id.clone(), revision: known.revision });
        }
        let mut kept = self.attempts.values().chain(&self.ended);
        let kept = kept.find(|attempt| attempt.request_id.as_ref() == Some(&known.id));
        Ok(kept.map_or_else(|| self.retell(known), |attempt| attempt.progress.follow()))
    }

    /// The steps of an attempt whose own list is gone: that it was accepted, and how it ended.
    fn retell(&self, known: &Request) -> Deployment {
        let progress = Progress::new(self.name.clone(), known.revision, Instant::now());
        progress.tell(super::StepEvent::Accepted);
        if let Some(outcome) = &known.outcome {
            progress.tell(outcome.retold());
        }
        progress.follow()
    }

    async fn restart(&mut self) -> Result<Deployment, RequestError> {
        self.check_open()?;
        let revision = self.state.restart_target().ok_or(RequestError::NothingToRestart)?;
        self.begin(revision, Event::RestartRequested(revision), Instant::now(), None).await
    }

    async fn roll_back(&mut self, to: Option<RevisionNumber>) -> Result<Deployment, RequestError> {
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
            return Err(RequestError::Journal { source: Arc::new(error) });
        }
        let progress = Progress::new(self.name.clone(), revision, received);
        let deployment = progress.follow();
        let clock = Clock {
            accepted: Instant::now(),
            prepared: None,
            fetch: Duration::ZERO,
            install: Duration::ZERO,
            ready: None,
        };
        self.attempts.insert(self.state.newest_ticket, Attempt { progress, request_id, revision, clock });
        self.perform_all(todo).await;
        Ok(deployment)
    }

    async fn stop(&mut self, event: Event, reply: Reply<EnvironmentStatus>) {
        if self.ending == Ending::ShuttingDown {
            return answer(reply, Err(RequestError::ShuttingDown));
        }
        self.waiters.push(reply);
        self.step(event).await;
    }

    /// Steps the state and performs what follows from it.
    pub(super) async fn step(&mut self, event: Event) {
        if self.ending != Ending::ShuttingDown {
            let todo = self.decide(event);
            self.perform_all(todo).await;
        }
    }

    /// Steps the state, and notes how requests ended before the journal is written.
    fn decide(&mut self, event: Event) -> VecDeque<Action> {
        let wanted = self.state.wanted();
        let todo = self.state.step(event);
        if self.state.wanted() != wanted || self.hold.is_none() {
            self.hold_artifacts();
        }
        for action in &todo {
            if let Action::Tell(ticket, told) = action
                && let (Some(outcome), Some(attempt)) = (told.outcome(), self.attempts.get(ticket))
            {
                requests::settle(&mut self.requests, attempt.revision, &outcome);
            }
        }
        todo.into()
    }

    /// Writes the journal off the async threads; an fsync can take a third of a second on a busy disk.
    pub(super) async fn journal(&self) -> Result<(), super::JournalError> {
        let record = super::journal::Record::of(&self.name, &self.state, &self.requests);
        let journal = self.world.journal.clone();
        tokio::task::spawn_blocking(move || journal.write(&record)).await.expect("writing the journal does not panic")
    }

    fn shut_down(&mut self) {
        self.ending = Ending::ShuttingDown;
        self.preparing.drain().for_each(|(_, task)| task.abort());
        if let Some((pause, _)) = self.pause.take() {
            pause.abort();
        }
        let generations: Vec<_> = self.living.keys().copied().collect();
        generations.into_iter().for_each(|generation| self.retire(generation));
    }
}

impl Outcome {
    fn retold(&self) -> super::StepEvent {
        use super::StepEvent::{Failed, Ready, Superseded};
        match self.clone() {
            Self::Ready(generation) => Ready { generation, timings: crate::words::Timings::default() },
            Self::Failed(failure) => Failed { failure, still_serving: None },
            Self::Superseded(by) => Superseded { by },
        }
    }
}

/// Answers; a caller that has hung up does not want it any more.
fn answer<T>(reply: Reply<T>, result: Result<T, RequestError>) {
    drop(reply.send(result));
}

/// A door to the task, for the registry.
pub fn inbox() -> (mpsc::Sender<Message>, mpsc::Receiver<Message>) {
    mpsc::channel(INBOX_MAX)
}
