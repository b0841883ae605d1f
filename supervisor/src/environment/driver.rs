//! One task per environment: takes commands and news in turn, steps the state, and hands its actions to `perform`.
//!
//! The task never waits for work: fetches, starts and drains run beside it and report back through its inbox, which
//! is why a hung environment blocks neither its own commands nor anybody else's.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Instant, SystemTime},
};

use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::AbortHandle,
};

use super::{
    JournalError, World,
    attempt::Attempt,
    changes::{Board, Publisher},
    generations::GENERATIONS_MAX,
    progress::Deployment,
    registry::{DeployOrder, RequestError},
    requests::{self, Request},
    state::{Action, Candidate, Event, State, Ticket},
    status::{self, Living},
};
use crate::{
    artifact::{Hold, Prepared},
    code_server::{Output, Report},
    route::Route,
    words::{EnvironmentName, EnvironmentStatus, Failure, GenerationNumber, GenerationStatus, Phase, RevisionNumber},
};

/// Messages that may wait for one environment. Each caller waits for room, so a flood of commands delays its callers.
pub const INBOX_MAX: usize = 64;

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
    pub(super) seats: Arc<Semaphore>,
    pub(super) dead: VecDeque<GenerationStatus>,
    pub(super) publisher: Publisher,
    /// Keeps the artifacts of wanted revisions on disk.
    pub(super) hold: Option<Hold>,
    pub(super) phase: (Phase, SystemTime),
    pub(super) restarts: u32,
    /// The revision that they are counted for.
    pub(super) restarts_of: RevisionNumber,
    pub(super) waiters: Vec<Reply<EnvironmentStatus>>,
    /// Why the journal tells of an earlier state than this one.
    pub(super) undurable: Option<Arc<JournalError>>,
    pub(super) ending: Ending,
}

/// Who waits for the end of a Stop or Remove.
pub struct Waiters {
    replies: Vec<Reply<EnvironmentStatus>>,
    outcome: Result<EnvironmentStatus, RequestError>,
}

impl Waiters {
    /// Tells all of them.
    pub fn answer(self) {
        self.replies.into_iter().for_each(|reply| answer(reply, self.outcome.clone()));
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
        let mut driver = Self {
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
            seats: Arc::new(Semaphore::new(GENERATIONS_MAX)),
            dead: VecDeque::new(),
            publisher,
            hold: None,
            phase,
            restarts: 0,
            restarts_of: 0,
            waiters: Vec::new(),
            undurable: None,
            ending: Ending::No,
        };
        driver.hold_artifacts();
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
        let forgotten = (self.ending == Ending::Forgotten).then(|| self.status());
        Waiters { outcome: forgotten.ok_or(RequestError::ShuttingDown), replies: self.waiters }
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
            Message::Prepared(ticket, result) => self.prepared(ticket, result).await,
            Message::Report(generation, report) => self.report(generation, report).await,
            Message::Event(Event::Recovered) => self.recover().await,
            Message::Event(event) => {
                if event == Event::PauseOver {
                    self.pause = None;
                }
                self.step(event).await;
            }
            Message::ShutDown => self.shut_down(),
        }
    }

    async fn prepared(&mut self, ticket: Ticket, result: Result<Prepared, Failure>) {
        self.preparing.remove(&ticket);
        match result {
            Ok(prepared) => {
                self.note_prepared(ticket, &prepared);
                self.prepared = Some(prepared);
                self.step(Event::Prepared(ticket)).await;
                // Still there if the attempt was abandoned meanwhile: then nothing holds it any longer.
                self.prepared = None;
            }
            Err(failure) => self.step(Event::PrepareFailed(ticket, failure)).await,
        }
    }

    /// Brings back what the journal tells; who repeats the request of a resumed candidate follows it.
    async fn recover(&mut self) {
        let todo = self.decide(Event::Recovered);
        if let Some(Candidate { ticket, revision, .. }) = self.state.candidate {
            let request = self.requests.iter().find(|it| it.revision == revision && it.outcome.is_none());
            let request_id = request.map(|request| request.id.clone());
            self.attempts.insert(ticket, Attempt::new(&self.name, revision, request_id, Instant::now()));
        }
        self.perform_all(todo).await;
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

    /// Steps the state and performs what follows from it.
    pub(super) async fn step(&mut self, event: Event) {
        if self.ending != Ending::ShuttingDown {
            let todo = self.decide(event);
            self.perform_all(todo).await;
        }
    }

    /// Steps the state, and notes how requests ended before the journal is written.
    pub(super) fn decide(&mut self, event: Event) -> VecDeque<Action> {
        let wanted = self.state.wanted();
        let todo = self.state.step(event);
        if self.state.wanted() != wanted {
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
    pub(super) async fn journal(&mut self) -> Result<(), Arc<JournalError>> {
        let record = super::journal::Record::of(&self.name, &self.state, &self.requests);
        let journal = self.world.journal.clone();
        let written = tokio::task::spawn_blocking(move || journal.write(&record)).await;
        written.expect("writing the journal does not panic")?;
        self.undurable = None;
        Ok(())
    }

    fn shut_down(&mut self) {
        self.ending = Ending::ShuttingDown;
        self.preparing.drain().for_each(|(_, task)| task.abort());
        self.attempts.drain().for_each(|(_, attempt)| attempt.progress.cut_off());
        if let Some((pause, _)) = self.pause.take() {
            pause.abort();
        }
        let message = "the supervisor is shutting down; try again when it is back".to_owned();
        self.world.routes.set(&self.name, &Route::Failed { message });
        let generations: Vec<_> = self.living.keys().copied().collect();
        generations.into_iter().for_each(|generation| self.retire(generation));
    }
}

/// Answers; a caller that has hung up does not want it any more.
pub(super) fn answer<T>(reply: Reply<T>, result: Result<T, RequestError>) {
    drop(reply.send(result));
}

/// A door to the task, for the registry.
pub fn inbox() -> (mpsc::Sender<Message>, mpsc::Receiver<Message>) {
    mpsc::channel(INBOX_MAX)
}
