//! What must happen after a generation's end, off the async threads: the kill of its leaf and the removal of its traces.
//!
//! The kill begins at once and is not waited for by whoever wants to know how the generation ended: a process that
//! hangs in the kernel or a scratch directory with a million files would hold that news up. Failing to clean up is logged and
//! never stops the environment: the next start of the supervisor cleans again.

use std::{io, time::Duration};

use pexvisor_sandbox::cgroup::{Leaf, Usage};
use tokio::{
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::timeout,
};

use super::Place;

/// How long the readers may go on when the leaf is empty: the pipes have closed then, unless a process outside of the leaf
/// holds one, and its lines are lost.
const OUTPUT_END_WAIT_MAX: Duration = Duration::from_secs(1);

/// What is left of a generation that is being killed.
pub struct Remains {
    leaf: Leaf,
    killing: JoinHandle<()>,
    readers: JoinSet<io::Result<()>>,
}

impl Remains {
    /// Begins to kill what is in the leaf.
    pub fn killed(leaf: Leaf, readers: JoinSet<io::Result<()>>) -> Self {
        let condemned = leaf.clone();
        let killing = spawn_blocking(move || {
            if let Err(error) = condemned.kill() {
                tracing::error!("failed to {error}");
            }
        });
        Self { leaf, killing, readers }
    }

    /// Returns when all output was read, after `wait` at the latest.
    pub async fn read_last_lines(&mut self, wait: Duration) {
        drop(timeout(wait, async { while self.readers.join_next().await.is_some() {} }).await);
    }

    /// Waits for the end of the last process, then removes all traces.
    pub async fn clear(mut self, place: &Place) {
        (&mut self.killing).await.expect("killing does not panic");
        self.read_last_lines(OUTPUT_END_WAIT_MAX).await;
        clear_leaf(self.leaf).await;
        clear_place(place).await;
    }
}

/// What a leaf has used so far.
pub async fn usage(leaf: Leaf) -> Usage {
    spawn_blocking(move || leaf.usage()).await.expect("reading does not panic")
}

/// Removes an empty leaf.
pub async fn clear_leaf(leaf: Leaf) {
    let cleared = spawn_blocking(move || {
        if let Err(error) = leaf.remove() {
            tracing::error!("failed to {error}");
        }
    });
    cleared.await.expect("removing does not panic");
}

/// Removes socket and scratch.
pub async fn clear_place(place: &Place) {
    let place = place.clone();
    let cleared = spawn_blocking(move || {
        if let Err(error) = place.remove() {
            tracing::error!("failed to remove {} or {}: {error}", place.run.display(), place.scratch.display());
        }
    });
    cleared.await.expect("removing does not panic");
}
