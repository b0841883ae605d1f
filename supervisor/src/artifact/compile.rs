//! Byte code, made after a code server is READY: one job at a time, at the lowest priority, never waited for.
//!
//! What is missing, and in which order, is found out by the installer process.

use std::{path::PathBuf, sync::Arc};

use pexvisor_install::{CompileRequest, Event, Interpreter, Request, bytecode::is_compiled};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    compose::Composition,
    fetch::with_causes,
    holds::Hold,
    installer::{Urgency, Workshop},
    places::Places,
    sweep::Sweep,
    writeback::Writeback,
};

/// Jobs that may wait. A job that finds no room is dropped: the next start of that environment asks again.
const JOBS_WAITING_MAX: usize = 64;
/// Pythons that compile at once: the other cores belong to code servers.
const PROCESSES: usize = 1;

/// Compiles one composition after the other. Dropping it kills the job under way.
pub struct ByteCode {
    jobs: mpsc::Sender<Job>,
    _worker: AbortOnDropHandle<()>,
}

struct Job {
    interpreter: Interpreter,
    trees: Vec<PathBuf>,
    /// The trees stay until the job is done.
    _hold: Hold,
}

impl ByteCode {
    /// Starts the worker.
    pub fn start(workshop: Workshop, sweep: Arc<Sweep>, writeback: Arc<Writeback>) -> Self {
        let (jobs, mut waiting) = mpsc::channel::<Job>(JOBS_WAITING_MAX);
        let worker = tokio::spawn(async move {
            while let Some(job) = waiting.recv().await {
                compile(&workshop, &sweep, &writeback, job).await;
            }
        });
        Self { jobs, _worker: AbortOnDropHandle::new(worker) }
    }

    /// Compiles what this composition lacks, some time.
    pub fn later(&self, places: &Places, composition: &Composition, hold: Hold) {
        let trees = trees(places, composition);
        let job = Job { interpreter: composition.interpreter.clone(), trees, _hold: hold };
        if self.jobs.try_send(job).is_err() {
            tracing::debug!("no room for another byte code job");
        }
    }
}

async fn compile(workshop: &Workshop, sweep: &Sweep, writeback: &Writeback, job: Job) {
    // Looked at here and not when the job was given: jobs before it may have done the same wheels.
    let trees: Vec<PathBuf> = job.trees.into_iter().filter(|tree| !is_compiled(tree)).collect();
    if trees.is_empty() {
        return;
    }
    if let Err(error) = writeback.about_to_write() {
        tracing::warn!(%error, "no byte code is made; look at the disk's health");
        return;
    }
    let request =
        CompileRequest { interpreter: job.interpreter, trees: trees.clone(), processes: PROCESSES, files_max: 0 };
    let answer = Box::pin(workshop.run(&Request::Compile(Box::new(request)), Urgency::Background, |_| ())).await;
    match answer {
        Ok(Event::Compiled { compiled, broken, left }) => tracing::info!(compiled, broken, left, "made byte code"),
        Ok(Event::Failed { message, .. }) => tracing::warn!(message, "byte code is not complete"),
        Ok(Event::Progress { .. } | Event::Done { .. }) => {
            tracing::warn!("the byte code job gave an answer to another question");
        }
        Err(error) => tracing::warn!(error = with_causes(&error), "byte code is not complete"),
    }
    sweep.measure_again(&trees);
}

fn trees(places: &Places, composition: &Composition) -> Vec<PathBuf> {
    let key = composition.interpreter.key();
    let mut trees = Vec::new();
    for install in &composition.installs {
        // Of the user's own code first: it is the least, and changes with every deploy.
        if install.manifest.has_sources {
            trees.push(install.directory.join("sources"));
        }
    }
    for wheel in composition.installs.iter().flat_map(|install| &install.manifest.wheels) {
        trees.push(places.wheels.join(&wheel.key).join(&key));
    }
    trees
}
