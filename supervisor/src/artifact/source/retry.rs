//! When to ask a store again, and when to call its silence a stall. One rule for all stores that are reached over a
//! network; the S3 SDK's own retries and stall protection are off, because they end where the body begins.

use std::{
    hash::{BuildHasher as _, RandomState},
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, sleep, timeout_at};

use super::SourceError;

/// Requests for one range: with the pauses between them, two to three seconds of a store's bad health are bridged.
const ATTEMPTS_MAX: u32 = 5;
/// A stalled store is asked only once more: each attempt costs a stall window, and somebody waits.
const STALLED_ATTEMPTS_MAX: u32 = 2;
/// Bytes that a body must give per stall window: 8 kB/s, less than any link that a deploy can be waited for on.
const STALL_BYTES_MIN: u64 = 64 * 1024;

/// How long a store is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a body may give next to nothing, and the head of an answer may take.
    pub stall_window: Duration,
    /// The first pause between attempts; it doubles with each.
    pub pause_first: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        // S3's first byte takes under a second at its slowest; a lost packet's retransmissions fit in twice over.
        Self { stall_window: Duration::from_secs(8), pause_first: Duration::from_millis(150) }
    }
}

/// The bytes of an answer.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, SourceError>> + Send>>;

/// Counts the attempts at one range.
pub struct Attempts {
    pause_first: Duration,
    made: u32,
}

impl Attempts {
    /// None made yet.
    pub fn new(patience: Patience) -> Self {
        Self { pause_first: patience.pause_first, made: 0 }
    }

    /// Pauses before the next attempt.
    ///
    /// # Errors
    /// Gives the error back when another attempt is of no use or there were enough.
    pub async fn pause(&mut self, error: SourceError) -> Result<(), SourceError> {
        self.made += 1;
        let max = if matches!(error, SourceError::Stalled { .. }) { STALLED_ATTEMPTS_MAX } else { ATTEMPTS_MAX };
        if !error.is_transient() || self.made >= max {
            return Err(error);
        }
        tracing::debug!(%error, attempt = self.made, "asking the store again");
        sleep(jittered(self.pause_first * 2_u32.pow(self.made - 1))).await;
        Ok(())
    }
}

/// Half to all of this pause, so that the ranges of one artifact do not come back at the same instant.
fn jittered(pause: Duration) -> Duration {
    // Each RandomState has a key of its own: enough randomness to spread a few requests.
    let share = RandomState::new().hash_one(()) % 1000;
    pause.mul_f64(0.5 + share as f64 / 2000.0)
}

/// A body that is given up when it stalls.
pub struct Paced {
    body: Body,
    at: String,
    window: Duration,
    window_end: Instant,
    window_bytes: u64,
}

impl Paced {
    /// This body, read from `at`.
    pub fn new(body: Body, at: &str, patience: Patience) -> Self {
        let window = patience.stall_window;
        Self { body, at: at.to_owned(), window, window_end: Instant::now() + window, window_bytes: 0 }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// [`SourceError::Stalled`], or the body's own.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            if let Ok(next) = timeout_at(self.window_end, self.body.next()).await {
                let next = next.transpose()?;
                self.window_bytes += next.as_ref().map_or(0, |bytes| bytes.len() as u64);
                return Ok(next);
            }
            if self.window_bytes < STALL_BYTES_MIN {
                return Err(SourceError::Stalled { at: self.at.clone(), pause: self.window });
            }
            self.window_end = Instant::now() + self.window;
            self.window_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const QUICK: Patience =
        Patience { stall_window: Duration::from_millis(200), pause_first: Duration::from_millis(2) };

    fn gives(bytes: usize, every: Duration) -> Paced {
        let chunk = Bytes::from(vec![0; bytes]);
        let body = stream::repeat(chunk).then(move |chunk| async move {
            sleep(every).await;
            Ok(chunk)
        });
        Paced::new(Box::pin(body), "x", QUICK)
    }

    #[tokio::test]
    async fn a_slow_body_goes_on_and_a_trickle_is_a_stall() {
        let mut slow = gives(64 * 1024, Duration::from_millis(50));
        for _ in 0..20 {
            slow.next().await.expect("64 KiB in each window is enough");
        }
        let mut trickle = gives(1, Duration::from_millis(5));
        let started = Instant::now();
        let error = loop {
            if let Err(error) = trickle.next().await {
                break error;
            }
        };
        assert!(matches!(error, SourceError::Stalled { .. }), "{error}");
        assert!(started.elapsed() < 2 * QUICK.stall_window, "given up after the first window");
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_only_for_what_may_pass() {
        let mut attempts = Attempts::new(QUICK);
        let mut granted = 1;
        while attempts.pause(SourceError::SlowDown { at: "x".into(), status: 503 }).await.is_ok() {
            granted += 1;
        }
        assert_eq!(granted, ATTEMPTS_MAX);
        assert!(Attempts::new(QUICK).pause(SourceError::NotFound { at: "x".into(), status: None }).await.is_err());
    }
}
