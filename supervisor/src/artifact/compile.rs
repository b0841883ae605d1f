//! Byte code: before a start what that will import, if its dependencies are new; after READY everything else, one job at
//! a time, at the lowest priority, never waited for.
//!
//! What is missing, and in which order, is found out by the installer process.

use std::{
    collections::HashSet,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pexvisor_install::{
    CompileRequest, Event, Interpreter, Request, Script, Wanted, bytecode::is_compiled, venv::Installed,
};
use prometheus_client::metrics::counter::Counter;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{
    compose::Composition,
    fetch::with_causes,
    flight::Flights,
    holds::Hold,
    installer::{InstallerError, Urgency, Workshop},
    places::Places,
    sweep::Sweep,
    writeback::Writeback,
};
use crate::words::{CommandKind, DagsterCode};

/// Jobs that may wait. A job that finds no room is dropped: the next start of that environment asks again.
const JOBS_WAITING_MAX: usize = 64;
/// Pythons that compile at once in the background: the other cores belong to code servers.
const PROCESSES_LATER: usize = 1;
/// Pythons that compile at once before a start, at most one per core: each takes some 30 MB of the installer's memory.
const PROCESSES_BEFORE_START_MAX: usize = 8;
/// Longest wait for byte code before a start, five times what a Dagster code server's 1,700 modules take on one core.
/// What is missing then is compiled by the start itself.
const COMPILE_BEFORE_START_MAX: Duration = Duration::from_secs(20);

/// Starts that are remembered: each takes a few kB.
const STARTS_MAX: usize = 256;

/// Makes byte code. Dropping it kills the background job under way.
pub struct ByteCode {
    maker: Maker,
    jobs: mpsc::Sender<Job>,
    /// One for the same dependencies at a time: ten branches that come at once need them compiled once.
    before_start: Flights<Vec<Tree>, (), ()>,
    /// What need not be looked at again, while the job in the background is not done yet.
    started: Mutex<HashSet<Start>>,
    waited_long: Counter,
    _worker: AbortOnDropHandle<()>,
}

/// A tree and its inode: one that was swept and made again lacks byte code again.
type Tree = (PathBuf, u64);

/// What decides which byte code of the dependencies a start needs.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Start {
    wheels: Vec<Tree>,
    modules: Vec<String>,
}

/// Has requests done, and keeps account of what they write to the cache.
#[derive(Clone)]
struct Maker {
    workshop: Workshop,
    sweep: Arc<Sweep>,
    writeback: Arc<Writeback>,
}

struct Job {
    interpreter: Interpreter,
    trees: Vec<PathBuf>,
    /// The trees stay until the job is done.
    _hold: Hold,
}

impl ByteCode {
    /// Starts the worker.
    pub fn start(workshop: Workshop, sweep: Arc<Sweep>, writeback: Arc<Writeback>, waited_long: Counter) -> Self {
        let (jobs, mut waiting) = mpsc::channel::<Job>(JOBS_WAITING_MAX);
        let maker = Maker { workshop, sweep, writeback };
        let of_worker = maker.clone();
        let worker = tokio::spawn(async move {
            while let Some(job) = waiting.recv().await {
                of_worker.finish(job).await;
            }
        });
        let (before_start, started) = (Flights::new(), Mutex::default());
        Self { maker, jobs, before_start, started, waited_long, _worker: AbortOnDropHandle::new(worker) }
    }

    /// Compiles what this composition lacks, some time.
    pub fn later(&self, places: &Places, composition: &Composition, hold: Hold) {
        let trees = trees(places, composition);
        let job = Job { interpreter: composition.interpreter.clone(), trees, _hold: hold };
        if self.jobs.try_send(job).is_err() {
            tracing::debug!("no room for another byte code job");
        }
    }

    /// Compiles what this command imports when it starts, on all cores, if some of the dependencies lack byte code.
    /// The user's own code alone is not worth a process: a start compiles a few files in the time that takes.
    pub async fn before_start(&self, places: &Places, composition: &Composition, command: &CommandKind) {
        if wheels(places, composition).all(|tree| is_compiled(&tree)) {
            return;
        }
        let with_inode = |tree: PathBuf| tree.metadata().map(|metadata| (tree, metadata.ino())).ok();
        let start = Start {
            wheels: wheels(places, composition).filter_map(with_inode).collect(),
            modules: modules_of(command, &composition.installs),
        };
        if !start.modules.is_empty() && !self.started().contains(&start) {
            self.compile_start(places, composition, &start).await;
        }
    }

    async fn compile_start(&self, places: &Places, composition: &Composition, start: &Start) {
        let request = CompileRequest {
            interpreter: composition.interpreter.clone(),
            trees: trees(places, composition),
            wanted: Wanted::ImportedBy(start.modules.clone()),
            processes: PROCESSES_BEFORE_START_MAX,
        };
        let (maker, waited_long) = (self.maker.clone(), self.waited_long.clone());
        let job = |_| async move {
            if timeout(COMPILE_BEFORE_START_MAX, maker.make(request, Urgency::Deploy)).await.is_err() {
                waited_long.inc();
            }
        };
        self.before_start.board(&start.wheels, job).landing.await;
        let mut started = self.started();
        if started.len() >= STARTS_MAX {
            // Looking again costs less than a second.
            started.clear();
        }
        started.insert(start.clone());
    }

    fn started(&self) -> MutexGuard<'_, HashSet<Start>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maker {
    /// Compiles all of the job's trees.
    async fn finish(&self, job: Job) {
        // Looked at here and not when the job was given: jobs before it may have done the same wheels.
        let trees: Vec<PathBuf> = job.trees.into_iter().filter(|tree| !is_compiled(tree)).collect();
        if !trees.is_empty() {
            let (interpreter, wanted, processes) = (job.interpreter, Wanted::Everything, PROCESSES_LATER);
            self.make(CompileRequest { interpreter, trees, wanted, processes }, Urgency::Background).await;
        }
    }

    async fn make(&self, request: CompileRequest, urgency: Urgency) {
        let _writing = match self.writeback.about_to_write() {
            Ok(writing) => writing,
            Err(error) => return tracing::warn!(%error, "no byte code is made; look at the disk's health"),
        };
        let trees = request.trees.clone();
        log(Box::pin(self.workshop.run(&Request::Compile(Box::new(request)), urgency, |_| ())).await);
        self.sweep.measure_again(&trees);
    }
}

/// No start fails for lack of byte code, so that is told to the log alone.
fn log(answer: Result<Event, InstallerError>) {
    match answer {
        Ok(Event::Compiled { compiled, broken }) => tracing::info!(compiled, broken, "made byte code"),
        Ok(Event::Failed { message, .. }) => tracing::warn!(message, "byte code is not complete"),
        Ok(Event::Progress { .. } | Event::Done { .. }) => {
            tracing::warn!("the byte code job gave an answer to another question");
        }
        Err(error) => tracing::warn!(error = with_causes(&error), "byte code is not complete"),
    }
}

/// In the order in which modules are looked for, without the standard library.
fn trees(places: &Places, composition: &Composition) -> Vec<PathBuf> {
    let with_sources = composition.installs.iter().rev().filter(|install| install.manifest.has_sources);
    // The user's own code is the least, and changes with every deploy.
    let sources = with_sources.map(|install| install.directory.join("sources"));
    sources.chain(wheels(places, composition)).collect()
}

fn wheels(places: &Places, composition: &Composition) -> impl Iterator<Item = PathBuf> {
    let key = composition.interpreter.key();
    let wheels = composition.installs.iter().flat_map(|install| &install.manifest.wheels);
    wheels.map(move |wheel| places.wheels.join(&wheel.key).join(&key))
}

/// The modules that a command imports first.
fn modules_of(command: &CommandKind, installs: &[Installed]) -> Vec<String> {
    match command {
        CommandKind::Module(module) => program(module),
        CommandKind::ConsoleScript(name) => script(name, installs),
        CommandKind::EntryPoint => {
            let manifests = installs.iter().rev().map(|install| &install.manifest);
            let mut with_entry =
                manifests.filter(|manifest| manifest.entry_point.is_some() || manifest.script.is_some());
            let Some(manifest) = with_entry.next() else { return Vec::new() };
            match (&manifest.entry_point, &manifest.script) {
                (Some(entry), _) => program(entry.split(':').next().unwrap_or_default().trim()),
                (None, name) => script(name.as_deref().unwrap_or_default(), installs),
            }
        }
        CommandKind::Dagster(profile) => {
            let mut modules = program("dagster");
            modules.push(match &profile.code {
                DagsterCode::Package(name) | DagsterCode::Module(name) => name.clone(),
                DagsterCode::PythonFile(path) => path.trim_end_matches(".py").replace('/', "."),
            });
            modules
        }
    }
}

/// `python -m` imports a package and then its `__main__`.
fn program(module: &str) -> Vec<String> {
    vec![module.to_owned(), format!("{module}.__main__")]
}

fn script(name: &str, installs: &[Installed]) -> Vec<String> {
    let scripts = installs.iter().filter_map(|install| install.manifest.scripts.get(name));
    let modules = scripts.filter_map(|script| match script {
        Script::EntryPoint { module, .. } => Some(module.clone()),
        Script::Raw => None,
    });
    modules.collect()
}
