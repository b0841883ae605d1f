//! What must happen after a generation's end, off the async threads: the kill of its leaf and the removal of its traces.
//!
//! Failing to clean up is logged and never stops the environment: the next start of the supervisor cleans again.

use pexvisor_sandbox::cgroup::{Leaf, Usage};
use tokio::task::spawn_blocking;

use super::Place;

/// Kills what is in the leaf and waits until it is empty.
pub async fn kill(leaf: Leaf) -> Leaf {
    let killed = spawn_blocking(move || {
        if let Err(error) = leaf.kill() {
            tracing::error!("failed to {error}");
        }
        leaf
    });
    killed.await.expect("killing does not panic")
}

/// Reads what an empty leaf has used and removes it.
pub async fn clear_leaf(leaf: Leaf) -> Usage {
    let cleared = spawn_blocking(move || {
        let usage = leaf.usage();
        if let Err(error) = leaf.remove() {
            tracing::error!("failed to {error}");
        }
        usage
    });
    cleared.await.expect("removing does not panic")
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
