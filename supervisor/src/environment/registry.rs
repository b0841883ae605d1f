//! All environments by name: the face that doors use. Finds the environment's task and passes the command on.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    JournalError, World,
    changes::{Board, Changes},
    driver::{self, About, Command, Driver, Message, Reply},
    journal::Record,
    progress::Deployment,
    requests::Request,
    state::{Event, State},
};
use crate::{
    code_server::{self, CodeSocket, Output},
    route::Route,
    words::{EnvironmentName, EnvironmentStatus, RevisionNumber, RevisionSpec},
};

/// Environments of one supervisor. Each may hold a code server of some 70 MB; a thousand is beyond any one machine's
/// memory and far below any limit of ours.
pub const ENVIRONMENTS_MAX: usize = 1000;

/// How long the end of an environment's task waits until its last lines are in the log, which may have stalled.
const LAST_LINES_LOGGED_WAIT_MAX: Duration = Duration::from_secs(1);

/// A request to deploy, checked and in the supervisor's own words.
#[derive(Clone, Debug)]
pub struct DeployOrder {
    /// Where.
    pub environment: EnvironmentName,
    /// What.
    pub spec: RevisionSpec,
    /// The caller's name for this request.
    pub request_id: Option<String>,
    /// The newest revision that the caller knows.
    pub expected_revision: Option<RevisionNumber>,
    /// When it arrived.
    pub received: Instant,
}

/// A request that cannot be carried out; nothing has changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// No environment of this name.
    #[error("there is no environment {name}; List shows those there are, Deploy makes one")]
    NoSuchEnvironment { name: EnvironmentName },
    /// No revision of this number is kept.
    #[error("revision {revision} is not kept; deploy its contents again")]
    NoSuchRevision { revision: RevisionNumber },
    /// The id stands for other contents.
    #[error("request_id {id:?} was used for revision {revision} with other contents; use a new id")]
    RequestIdReused { id: String, revision: RevisionNumber },
    /// Somebody else deployed in between.
    #[error("expected_revision is {expected}, the newest is {newest}; read it again, then decide")]
    WrongRevision { expected: RevisionNumber, newest: RevisionNumber },
    /// Nothing served before.
    #[error("no earlier revision has served here; name one with to_revision, or deploy")]
    NothingToRollBackTo,
    /// A Stop was waited for, and then something was started again.
    #[error("a later request started the environment again before it had stopped; look, then decide")]
    Overtaken,
    /// Nothing was ever deployed.
    #[error("nothing was deployed here yet; deploy first")]
    NothingToRestart,
    /// Remove was called.
    #[error("environment {name} is being removed; wait for the end of Remove, then deploy")]
    BeingRemoved { name: EnvironmentName },
    /// No generation serves.
    #[error("nothing serves in environment {name}; Get shows why")]
    NothingServes { name: EnvironmentName },
    /// No room for another.
    #[error("there are {ENVIRONMENTS_MAX} environments, the most there may be; remove one")]
    TooManyEnvironments,
    /// The supervisor stops.
    #[error("the supervisor is shutting down; try again when it is back")]
    ShuttingDown,
    /// Nothing runs any more, but the journal says otherwise.
    #[error(
        "nothing of the environment runs any more, but it would come back when the supervisor starts again: failed to \
         {source}; then ask again"
    )]
    StopNotDurable {
        #[source]
        source: Arc<JournalError>,
    },
    /// The disk does not take the journal.
    #[error("the deploy could not be made durable: failed to {source}")]
    Journal {
        #[source]
        source: Arc<JournalError>,
    },
}

/// All environments. Clones share them.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

struct Shared {
    world: Arc<World>,
    entries: Mutex<BTreeMap<EnvironmentName, Entry>>,
    tasks: Mutex<JoinSet<()>>,
    board: Board,
    open: watch::Sender<bool>,
}

struct Entry {
    inbox: mpsc::Sender<Message>,
    status: watch::Receiver<EnvironmentStatus>,
    output: Output,
}

impl Registry {
    /// Starts one task for each journalled environment; each brings back what it promised.
    pub fn recover(world: Arc<World>) -> Result<Self, JournalError> {
        let records = world.journal.read_all()?;
        let (entries, tasks, board) = (Mutex::default(), Mutex::default(), Board::new());
        let registry = Self(Arc::new(Shared { world, entries, tasks, board, open: watch::Sender::new(true) }));
        for record in records {
            registry.bring_back(record);
        }
        Ok(registry)
    }

    fn bring_back(&self, record: Record) {
        let name = record.name().clone();
        let (state, requests) = record.restore();
        let entry = self.spawn(name.clone(), state, requests);
        let recovered = Message::Event(Event::Recovered);
        entry.inbox.try_send(recovered).expect("a new inbox has room");
        self.entries().insert(name, entry);
    }

    /// Accepts a deploy and returns its progress; makes the environment if there is none.
    pub async fn deploy(&self, order: DeployOrder) -> Result<Deployment, RequestError> {
        let name = order.environment.clone();
        let inbox = self.find_or_make(&name, order.expected_revision)?;
        self.ask(&name, &inbox, |reply| Command::Deploy(Box::new(order), reply)).await
    }

    /// Drains and terminates; returns when no process is left.
    pub async fn stop(&self, name: &EnvironmentName) -> Result<EnvironmentStatus, RequestError> {
        self.ask(name, &self.inbox(name)?, Command::Stop).await
    }

    /// Stops and forgets; returns when nothing is left.
    pub async fn remove(&self, name: &EnvironmentName) -> Result<(), RequestError> {
        self.ask(name, &self.inbox(name)?, Command::Remove).await.map(drop)
    }

    /// A new generation of the serving revision.
    pub async fn restart(&self, name: &EnvironmentName) -> Result<Deployment, RequestError> {
        self.ask(name, &self.inbox(name)?, Command::Restart).await
    }

    /// The contents of an earlier revision as a new one.
    pub async fn rollback(
        &self,
        name: &EnvironmentName,
        to: Option<RevisionNumber>,
    ) -> Result<Deployment, RequestError> {
        self.ask(name, &self.inbox(name)?, |reply| Command::Rollback(to, reply)).await
    }

    /// One environment as it is now.
    pub fn get(&self, name: &EnvironmentName) -> Result<EnvironmentStatus, RequestError> {
        self.with(name, |entry| entry.status.borrow().clone())
    }

    /// All environments as they are now, by name.
    pub fn list(&self) -> Vec<EnvironmentStatus> {
        self.entries().values().filter(|entry| entry.is_there()).map(|entry| entry.status.borrow().clone()).collect()
    }

    /// How many environments there are.
    pub fn count(&self) -> usize {
        self.entries().values().filter(|entry| entry.is_there()).count()
    }

    /// The state of all environments, then every change.
    pub fn changes(&self) -> Changes {
        self.0.board.changes(self.clone())
    }

    /// What its code servers wrote.
    pub fn output(&self, name: &EnvironmentName) -> Result<Output, RequestError> {
        self.with(name, |entry| entry.output.clone())
    }

    /// The socket of the generation that serves.
    pub fn code_socket(&self, name: &EnvironmentName) -> Result<CodeSocket, RequestError> {
        self.with(name, |_| ())?;
        match self.0.world.routes.get(name) {
            Some(Route::Serving(target)) => Ok(target.socket().clone()),
            _ => Err(RequestError::NothingServes { name: name.clone() }),
        }
    }

    /// Ends all generations and waits for the last; what was promised is kept for the next start.
    pub async fn shut_down(&self) {
        self.0.open.send_replace(false);
        let inboxes: Vec<_> = self.entries().values().map(|entry| entry.inbox.clone()).collect();
        for inbox in inboxes {
            drop(inbox.send(Message::ShutDown).await);
        }
        let mut tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }

    fn find_or_make(
        &self,
        name: &EnvironmentName,
        expected: Option<RevisionNumber>,
    ) -> Result<mpsc::Sender<Message>, RequestError> {
        if !*self.0.open.borrow() {
            return Err(RequestError::ShuttingDown);
        }
        let mut entries = self.entries();
        if let Some(entry) = entries.get(name) {
            return Ok(entry.inbox.clone());
        }
        if let Some(expected) = expected.filter(|expected| *expected != 0) {
            return Err(RequestError::WrongRevision { expected, newest: 0 });
        }
        if entries.len() >= ENVIRONMENTS_MAX {
            return Err(RequestError::TooManyEnvironments);
        }
        let entry = self.spawn(name.clone(), State::default(), VecDeque::new());
        let inbox = entry.inbox.clone();
        entries.insert(name.clone(), entry);
        Ok(inbox)
    }

    fn spawn(&self, name: EnvironmentName, state: State, requests: VecDeque<Request>) -> Entry {
        let (inbox, messages) = driver::inbox();
        let output = Output::new(self.0.world.metrics.environments.lines_lost(&name));
        let about = About { name: name.clone(), output: output.clone(), inbox: inbox.downgrade() };
        let forwarded = self.forward(&name, &output);
        let of_task = output.clone();
        let (driver, status) = Driver::new(about, Arc::clone(&self.0.world), state, requests, &self.0.board);
        let registry = Arc::downgrade(&self.0);
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let waiters = driver.run(messages).await;
            of_task.close();
            if let Some(shared) = registry.upgrade().filter(|shared| *shared.open.borrow()) {
                shared.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                shared.board.ring();
            }
            // Only now is it gone for whoever asks next.
            waiters.answer();
            drop(timeout(LAST_LINES_LOGGED_WAIT_MAX, forwarded).await);
        });
        Entry { inbox, status, output }
    }

    /// Passes the output on to the log, until it is closed and the last line told.
    fn forward(&self, name: &EnvironmentName, output: &Output) -> AbortOnDropHandle<()> {
        let World { surroundings, metrics, .. } = &*self.0.world;
        let (_, lines) = output.tail(None, None);
        let lost = metrics.limits.counter("logged_lines_per_second_max");
        AbortOnDropHandle::new(tokio::spawn(code_server::forward(name.clone(), lines, surroundings.log.clone(), lost)))
    }

    fn inbox(&self, name: &EnvironmentName) -> Result<mpsc::Sender<Message>, RequestError> {
        self.with(name, |entry| entry.inbox.clone())
    }

    /// An environment without a revision is not there yet: its first deploy is still being checked.
    fn with<T>(&self, name: &EnvironmentName, take: impl FnOnce(&Entry) -> T) -> Result<T, RequestError> {
        let missing = || RequestError::NoSuchEnvironment { name: name.clone() };
        self.entries().get(name).filter(|entry| entry.is_there()).map(take).ok_or_else(missing)
    }

    async fn ask<T>(
        &self,
        name: &EnvironmentName,
        inbox: &mpsc::Sender<Message>,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, RequestError> {
        let gone = || match *self.0.open.borrow() {
            true => RequestError::BeingRemoved { name: name.clone() },
            false => RequestError::ShuttingDown,
        };
        let (reply, answer) = oneshot::channel();
        inbox.send(Message::Command(command(reply))).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<EnvironmentName, Entry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_there(&self) -> bool {
        self.status.borrow().newest > 0
    }
}
