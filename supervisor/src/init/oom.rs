//! Out of memory is the end of the whole leaf, not of one process in it.
//!
//! The kernel does this itself on cgroup v2. On v1 its OOM killer ends one process, and a code server that lost a
//! worker may hang for ever; here the rest follows at once. The first process's owner sees it end by SIGKILL, with the
//! leaf's usage saying out of memory.

use std::io;

use pexvisor_sandbox::cgroup::{CgroupError, Leaf, OomEvents};
use tokio::{io::unix::AsyncFd, task::JoinHandle};

/// Watches one leaf until it is dropped.
#[derive(Debug)]
pub struct OomGuard {
    task: JoinHandle<()>,
}

/// A leaf cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("watch for out of memory")]
pub enum OomGuardError {
    /// The kernel does not tell.
    Kernel(#[from] CgroupError),
    /// The runtime does not listen.
    Runtime(#[from] io::Error),
}

impl OomGuard {
    /// Watches `leaf` from now on; call it before the first process is started there. `None` where nothing holds
    /// memory, so that nothing can run out of it alone.
    ///
    /// # Errors
    /// [`OomGuardError`], mostly for want of descriptors.
    pub fn watch(leaf: &Leaf) -> Result<Option<Self>, OomGuardError> {
        let Some(events) = leaf.oom_events()? else { return Ok(None) };
        #[expect(
            deprecated,
            reason = "its heir is unsafe for types whose descriptor changes; OomEvents owns one for life"
        )]
        let events = AsyncFd::new(events)?;
        let watched = watch(events, leaf.clone());
        Ok(Some(Self { task: tokio::spawn(watched) }))
    }
}

impl Drop for OomGuard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(mut events: AsyncFd<OomEvents>, leaf: Leaf) {
    loop {
        match events.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(error) => return tracing::error!(%error, "cannot watch a leaf for out of memory"),
        }
        let of_task = leaf.clone();
        // Both wait for the kernel.
        let taken = tokio::task::spawn_blocking(move || {
            if events.get_mut().take() {
                kill(&of_task);
            }
            events
        });
        match taken.await {
            Ok(back) => events = back,
            Err(panic) => return tracing::error!(%panic, "a kill after out of memory failed"),
        }
    }
}

fn kill(leaf: &Leaf) {
    tracing::warn!("out of memory: the kernel ended a process, its whole leaf follows");
    if let Err(error) = leaf.kill() {
        tracing::error!(error = &error as &dyn std::error::Error, "cannot end a leaf that is out of memory");
    }
}
