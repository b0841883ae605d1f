//! Waiting for something to become true: a deadline, never a fixed sleep.

use std::time::{Duration, Instant};

/// How long a test waits for what should happen at once: generous, because the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The first `Some` that `look` gives; fails naming `what` after [`PATIENCE`].
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for this: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// As [`eventually`], for code that is not async. True when `look` became true within `limit`.
pub fn became_true(limit: Duration, mut look: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !look() {
        if started.elapsed() > limit {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
    true
}
