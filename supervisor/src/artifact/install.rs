//! Installs artifacts that are on disk, through an installer process, and composes them into a venv.
//!
//! What is installed already costs a few `stat`s and small files, and no process. Parses no byte of an artifact.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use pexvisor_install::{
    Artifact, Event, FailureKind, InstallRequest, Interpreter, Manifest, Request,
    venv::{self, Installed},
};
use tokio::sync::RwLock;

use super::{
    compose::{self, Composition},
    fetch::with_causes,
    flight::Flights,
    installer::{InstallerError, Urgency, Workshop},
    interpreters::{Interpreters, Search},
    places::Places,
};
use crate::words::{Digest, Failure, FailureReason};

/// Remembered choices of an interpreter; one per composition asked for, some hundred bytes each.
const CHOICES_MAX: usize = 1024;

/// What is to be installed: artifacts in pex order, and the interpreter asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The artifacts.
    pub digests: Vec<Digest>,
    /// The interpreter; any that fits when there is none.
    pub interpreter: Option<PathBuf>,
}

/// What an install ends with.
pub type InstallResult = Result<Arc<Composition>, Failure>;

/// Installs and composes.
pub struct Install {
    places: Places,
    workshop: Workshop,
    interpreters: Interpreters,
    flights: Flights<Wanted, InstallResult, ()>,
    /// One lock per artifact that is being installed: two compositions with the same dependencies install them once.
    installing: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
    /// Read while wheels are taken into use; written by the sweep while it removes some.
    pub(super) wheels: Arc<RwLock<()>>,
    choices: Mutex<HashMap<Wanted, String>>,
}

impl Install {
    /// Installs with processes of this workshop.
    pub fn new(places: Places, workshop: Workshop, interpreters: Interpreters) -> Arc<Self> {
        Arc::new(Self {
            places,
            workshop,
            interpreters,
            flights: Flights::new(),
            installing: Mutex::default(),
            wheels: Arc::default(),
            choices: Mutex::default(),
        })
    }

    /// The composition, if it and everything it is made of is there.
    pub async fn cached(&self, wanted: &Wanted) -> Option<Composition> {
        let (allowed, _) = self.interpreters.allowed(wanted.interpreter.as_deref()).await;
        let (interpreter, installs) = self.installed(wanted, &allowed)?;
        compose::cached(&self.places, &interpreter, installs)
    }

    /// Whether this artifact is installed, for any interpreter.
    pub fn is_installed(&self, digest: Digest) -> bool {
        let known = self.interpreters.known();
        known.iter().any(|interpreter| self.load(digest, interpreter).is_some())
    }

    /// Joins the install of this, or starts it. The artifacts are on disk, and held.
    pub async fn install(self: &Arc<Self>, wanted: &Wanted) -> InstallResult {
        let (install, job) = (self.clone(), wanted.clone());
        self.flights.board(wanted, move |_| async move { install.run(job).await }).landing.await
    }

    async fn run(&self, wanted: Wanted) -> InstallResult {
        let (allowed, search) = self.interpreters.allowed(wanted.interpreter.as_deref()).await;
        if allowed.is_empty() {
            return Err(no_interpreter(&wanted));
        }
        let (interpreter, installs) = match self.install_missing(&wanted, allowed).await {
            // Perhaps one of those that have not answered yet.
            Err(failure) if failure.reason == FailureReason::NoInterpreter && search == Search::GoesOn => {
                let all = self.interpreters.all().await;
                self.install_missing(&wanted, all).await?
            }
            installed => installed?,
        };
        self.remember(wanted, &interpreter);
        compose::compose(&self.places, interpreter, installs).await.map(Arc::new)
    }

    async fn install_missing(
        &self,
        wanted: &Wanted,
        allowed: Vec<Interpreter>,
    ) -> Result<(Interpreter, Vec<Installed>), Failure> {
        let locks = self.locks(&wanted.digests);
        let mut held = Vec::new();
        for lock in &locks {
            held.push(lock.lock().await);
        }
        let _wheels = self.wheels.read().await;
        if let Some(installed) = self.installed(wanted, &allowed) {
            return Ok(installed);
        }
        let request = self.request(wanted, allowed.clone());
        let answer = Box::pin(self.workshop.run(&request, Urgency::Deploy, |_| ())).await;
        self.accept(wanted, &allowed, answer.map_err(|error| unanswered(&error))?)
    }

    fn request(&self, wanted: &Wanted, interpreters: Vec<Interpreter>) -> Request {
        let artifact = |digest: &Digest| Artifact { path: self.places.artifact(*digest), digest: digest.to_string() };
        Request::Install(InstallRequest {
            artifacts: wanted.digests.iter().map(artifact).collect(),
            interpreters,
            wheels: self.places.wheels.clone(),
            installs: self.places.installs.clone(),
            staging: self.places.staging("install"),
        })
    }

    /// Checks that the answer is one to our question: the process has parsed bytes that may be hostile.
    fn accept(
        &self,
        wanted: &Wanted,
        allowed: &[Interpreter],
        answer: Event,
    ) -> Result<(Interpreter, Vec<Installed>), Failure> {
        let (interpreter, manifests) = match answer {
            Event::Done { interpreter, manifests } => (*interpreter, manifests),
            Event::Failed { kind, message } => return Err(Failure::new(reason(kind), message)),
            Event::Progress { .. } | Event::Compiled { .. } => return Err(nonsense()),
        };
        let key = interpreter.key();
        let is_ours = |(digest, manifest): (&Digest, &Manifest)| {
            manifest.digest == digest.to_string() && manifest.interpreter == key
        };
        let all_ours = manifests.len() == wanted.digests.len() && wanted.digests.iter().zip(&manifests).all(is_ours);
        if !all_ours || !allowed.contains(&interpreter) {
            return Err(nonsense());
        }
        let installs = wanted.digests.iter().zip(manifests);
        let installs = installs.map(|(digest, manifest)| self.at_its_place(*digest, &interpreter, manifest)).collect();
        Ok((interpreter, installs))
    }

    /// The interpreter chosen before, or else the best one, if everything is installed for it. Whether a better one
    /// than that of an install fits is for the installer to say.
    fn installed(&self, wanted: &Wanted, allowed: &[Interpreter]) -> Option<(Interpreter, Vec<Installed>)> {
        let choices = self.choices.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = choices.get(wanted).and_then(|key| allowed.iter().find(|candidate| candidate.key() == *key));
        let interpreter = chosen.or(allowed.first())?.clone();
        drop(choices);
        let load = |digest: &Digest| {
            let manifest = self.load(*digest, &interpreter)?;
            Some(self.at_its_place(*digest, &interpreter, manifest))
        };
        let installs: Vec<Installed> = wanted.digests.iter().map(load).collect::<Option<_>>()?;
        Some((interpreter, installs))
    }

    fn load(&self, digest: Digest, interpreter: &Interpreter) -> Option<Manifest> {
        // An install of another version, or half a one, is made anew.
        Manifest::load(&self.places.install(digest, interpreter)).ok()
    }

    fn at_its_place(&self, digest: Digest, interpreter: &Interpreter, manifest: Manifest) -> Installed {
        Installed { directory: self.places.install(digest, interpreter), manifest }
    }

    fn remember(&self, wanted: Wanted, interpreter: &Interpreter) {
        let mut choices = self.choices.lock().unwrap_or_else(PoisonError::into_inner);
        if choices.len() >= CHOICES_MAX {
            // Asking the installer again costs milliseconds; bookkeeping to forget the oldest is not worth it.
            choices.clear();
        }
        choices.insert(wanted, interpreter.key());
    }

    /// The locks of these artifacts, in one order for everybody, so that two installs never wait for each other.
    fn locks(&self, digests: &[Digest]) -> Vec<Arc<tokio::sync::Mutex<()>>> {
        let mut digests = digests.to_vec();
        digests.sort_unstable();
        digests.dedup();
        let mut installing = self.installing.lock().unwrap_or_else(PoisonError::into_inner);
        installing.retain(|_, lock| lock.strong_count() > 0);
        let mut lock = |digest: &Digest| {
            let known = installing.get(digest).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::default();
                installing.insert(*digest, Arc::downgrade(&lock));
                lock
            })
        };
        digests.iter().map(&mut lock).collect()
    }
}

/// The name of a venv is made of these.
pub fn venv_key(interpreter: &Interpreter, installs: &[Installed]) -> String {
    let digests: Vec<&str> = installs.iter().map(|installed| installed.manifest.digest.as_str()).collect();
    venv::key(interpreter, &digests)
}

fn reason(kind: FailureKind) -> FailureReason {
    match kind {
        FailureKind::BadArtifact => FailureReason::BadArtifact,
        FailureKind::NoInterpreter => FailureReason::NoInterpreter,
        FailureKind::DiskFull => FailureReason::DiskFull,
        FailureKind::Internal => FailureReason::Internal,
    }
}

fn no_interpreter(wanted: &Wanted) -> Failure {
    let message = match &wanted.interpreter {
        Some(path) => format!(
            "failed to use the interpreter {}: it is no Python that runs here; name one of `pexctl describe`, or none",
            path.display()
        ),
        None => "failed to find any Python on PATH, in /usr/local/bin or /usr/bin; put one into the image".to_owned(),
    };
    Failure::new(FailureReason::NoInterpreter, message)
}

fn unanswered(error: &InstallerError) -> Failure {
    Failure::new(FailureReason::Internal, format_args!("failed to {}", with_causes(error)))
}

fn nonsense() -> Failure {
    Failure::new(
        FailureReason::Internal,
        "failed to believe the installer: its answer is not one to what was asked; check where the artifacts come from",
    )
}
