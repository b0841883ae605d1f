//! The Pythons of this container: looked for and asked once, in the background, at start.
//!
//! Which of them an artifact is for is the installer's choice; here is only the list it chooses from.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use futures_util::{StreamExt as _, stream};
use pexvisor_install::{
    Interpreter,
    interpreter::{candidates, parse_probe, probe_command},
};
use tokio::{sync::watch, time::timeout};

use super::installer::Workshop;

/// Longest wait for one Python to say what it is; a cold one on a network disk takes 2 s.
const PROBE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// Pythons asked at once: each is one process that is busy for some 30 ms.
const PROBES_AT_ONCE: usize = 2;

/// The list as far as it is known. Clones share it.
#[derive(Clone)]
pub struct Interpreters {
    workshop: Workshop,
    found: watch::Receiver<Found>,
}

/// The best interpreters, in order; more may follow.
#[derive(Clone, Default)]
struct Found {
    list: Vec<Interpreter>,
    search: Search,
}

/// Whether all have answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// Some have not; those that are known come before them.
    #[default]
    GoesOn,
    /// All have.
    Complete,
}

impl Interpreters {
    /// Starts to look: at the paths given, or if there are none along PATH and in the usual directories.
    pub fn look_for(workshop: Workshop, given: Vec<PathBuf>) -> Self {
        let (sender, found) = watch::channel(Found::default());
        let interpreters = Self { workshop, found };
        let asking = interpreters.clone();
        tokio::spawn(async move {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let look = move || if given.is_empty() { candidates(&[], &path) } else { given };
            let paths = tokio::task::spawn_blocking(look).await.unwrap_or_default();
            // In order, however long one takes: what is known is always the best part of the whole.
            let mut answers = stream::iter(paths).map(|path| asking.probe(path)).buffered(PROBES_AT_ONCE);
            while let Some(answer) = answers.next().await {
                sender.send_modify(|found| found.list.extend(answer));
            }
            sender.send_modify(|found| found.search = Search::Complete);
        });
        interpreters
    }

    /// All that there are, best first; waits until they are known.
    pub async fn all(&self) -> Vec<Interpreter> {
        self.wait_for(|found| found.search == Search::Complete).await.list
    }

    /// All that are known by now.
    pub fn known(&self) -> Vec<Interpreter> {
        self.found.borrow().list.clone()
    }

    /// Those that a revision may run on: the one asked for, which need not have been found before, or else the best
    /// ones, at least one if there is any. A deploy need not wait for the slowest Python of the image: if one of the
    /// best fits, those behind it do not matter.
    pub async fn allowed(&self, asked: Option<&Path>) -> (Vec<Interpreter>, Search) {
        let Some(asked) = asked else {
            let found = self.wait_for(|found| found.search == Search::Complete || !found.list.is_empty()).await;
            return (found.list, found.search);
        };
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        let is_asked = |known: &Interpreter| known.path == asked || real(&known.path) == real(asked);
        let only = match self.known().into_iter().find(is_asked) {
            Some(known) => Some(known),
            None => self.probe(asked.to_owned()).await,
        };
        (only.into_iter().collect(), Search::Complete)
    }

    async fn wait_for(&self, enough: impl FnMut(&Found) -> bool) -> Found {
        let mut found = self.found.clone();
        let waited = found.wait_for(enough).await;
        // The search ends early only with the runtime.
        waited.map(|found| found.clone()).unwrap_or_default()
    }

    async fn probe(&self, python: PathBuf) -> Option<Interpreter> {
        let argv: Option<Vec<String>> =
            probe_command(&python).into_iter().map(OsString::into_string).collect::<Result<_, _>>().ok();
        let answer = match timeout(PROBE_TIMEOUT, self.workshop.ask(&argv?)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::info!(python = %python.display(), error = super::fetch::with_causes(&error), "not a usable Python");
                return None;
            }
            Err(_) => {
                tracing::warn!(python = %python.display(), "a Python that does not say what it is within 10 s");
                return None;
            }
        };
        parse_probe(&python, &answer)
            .inspect_err(|error| tracing::info!(error = super::fetch::with_causes(error), "not a usable Python"))
            .ok()
    }
}
