//! The one owner of waiting: starts children and reaps everything that ends, our own and orphans alike.
//!
//! A child is forked and registered under one lock, and reaped under the same lock: its end cannot be taken for an
//! orphan's. Reaps any child, so nothing else in this process may wait for one (clippy.toml holds that).

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use pexvisor_sandbox::{LaunchError, Spec, Stage, StageProgram, wait};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::children::{Children, Owner, Process};

/// A handle; clones name the same reaper.
#[derive(Clone, Debug)]
pub struct Reaper {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    stage_program: StageProgram,
    children: Mutex<Children>,
    orphans: AtomicU64,
}

impl Reaper {
    /// Makes this process the parent of all orphans below it and starts to reap, with this executable as the stage
    /// program. Call it once, in a runtime, before the first child is started.
    ///
    /// # Errors
    /// When SIGCHLD cannot be watched, or on a kernel before Linux 3.4.
    pub fn start() -> io::Result<Self> {
        Self::start_with(StageProgram::this_executable())
    }

    /// As [`Self::start`] with another stage program.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(stage_program: StageProgram) -> io::Result<Self> {
        // As PID 1 orphans come to us anyway; as a plain child they would go to somebody who does not know them.
        nix::sys::prctl::set_child_subreaper(true)?;
        let ended = signal(SignalKind::child())?;
        let inner = Inner { stage_program, children: Mutex::default(), orphans: AtomicU64::new(0) };
        let reaper = Self { inner: Arc::new(inner) };
        tokio::spawn(reaper.clone().sweep_on(ended));
        Ok(reaper)
    }

    /// Starts `spec` and returns when its program runs. Blocks for milliseconds: call it in `spawn_blocking`.
    ///
    /// # Errors
    /// [`LaunchError`]; the failed child is reaped without the caller's help.
    pub fn spawn(&self, spec: &Spec) -> Result<Process, LaunchError> {
        let (stage, process) = self.start_registered(spec)?;
        // Outside of the lock: this waits for the child, and other children end meanwhile.
        stage.hand_over(spec)?.confirm()?;
        Ok(process)
    }

    /// Orphans reaped so far: processes that somebody below us started and did not wait for.
    pub fn orphans(&self) -> u64 {
        self.inner.orphans.load(Ordering::Relaxed)
    }

    fn start_registered(&self, spec: &Spec) -> Result<(Stage, Process), LaunchError> {
        let mut children = self.inner.children();
        let stage = self.inner.stage_program.start(spec)?;
        let process = children.register(stage.pid(), stage.pidfd());
        Ok((stage, process))
    }

    async fn sweep_on(self, mut ended: Signal) {
        loop {
            let reaper = self.clone();
            // The lock may be held for the length of a fork, so not on a thread that serves others.
            if let Err(panic) = tokio::task::spawn_blocking(move || reaper.inner.sweep()).await {
                tracing::error!(%panic, "a sweep of ended children failed");
            }
            // One signal may stand for many ends; each sweep takes all there are.
            if ended.recv().await.is_none() {
                return;
            }
        }
    }
}

impl Inner {
    fn children(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweep(&self) {
        let mut children = self.children();
        loop {
            match wait::reap_any() {
                Ok(None) => return,
                Ok(Some((pid, end))) => {
                    if children.deliver(pid, end) == Owner::None {
                        self.orphans.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!(pid, %end, "reaped an orphan");
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "cannot wait for children");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
