//! The Pythons of this container: looked for and asked once, in the background, at start.
//!
//! Which of them an artifact is for is the installer's choice; here is only the list it chooses from.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
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

/// The list, once it is there. Clones share it.
#[derive(Clone)]
pub struct Interpreters {
    workshop: Workshop,
    found: watch::Receiver<Option<Arc<[Interpreter]>>>,
}

impl Interpreters {
    /// Starts to look: at the paths given, or if there are none along PATH and in the usual directories.
    pub fn look_for(workshop: Workshop, given: Vec<PathBuf>) -> Self {
        let (sender, found) = watch::channel(None);
        let interpreters = Self { workshop, found };
        let asking = interpreters.clone();
        tokio::spawn(async move {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let look = move || if given.is_empty() { candidates(&[], &path) } else { given };
            let paths = tokio::task::spawn_blocking(look).await.unwrap_or_default();
            let answers = stream::iter(paths).map(|path| asking.probe(path)).buffered(PROBES_AT_ONCE);
            let list: Vec<Interpreter> = answers.filter_map(|answer| async { answer }).collect().await;
            sender.send_replace(Some(list.into()));
        });
        interpreters
    }

    /// All that there are, best first; waits until they are known.
    pub async fn all(&self) -> Arc<[Interpreter]> {
        let mut found = self.found.clone();
        let list = found.wait_for(Option::is_some).await;
        // The search ends early only with the runtime.
        list.ok().and_then(|list| list.clone()).unwrap_or_default()
    }

    /// All that are known by now.
    pub fn known(&self) -> Arc<[Interpreter]> {
        self.found.borrow().clone().unwrap_or_default()
    }

    /// Those that a revision may run on: all, or the one asked for, which need not have been found before.
    pub async fn allowed(&self, asked: Option<&Path>) -> Vec<Interpreter> {
        let all = self.all().await;
        let Some(asked) = asked else { return all.to_vec() };
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        match all.iter().find(|known| known.path == asked || real(&known.path) == real(asked)) {
            Some(known) => vec![known.clone()],
            None => self.probe(asked.to_owned()).await.into_iter().collect(),
        }
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
