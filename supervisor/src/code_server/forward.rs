//! Passes the output of one environment on to the supervisor's log, line by line, at a bounded rate.
//!
//! A reader of [`Output`](super::Output) like any other: what the log does not take in time is dropped there, the oldest
//! first, and told of in one line. So neither a flood nor a log that nobody reads delays a code server or takes the room
//! of another environment's lines.

use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use tokio::time::sleep;

use super::{Follow, Line, Stream};
use crate::{
    telemetry::{Log, OUTPUT},
    words::EnvironmentName,
};

/// Lines of one environment that the log takes, in the long run: what journald takes from a service before it calls it a
/// flood (10,000 in 30 s).
const LOGGED_LINES_PER_SECOND_MAX: u32 = 300;
/// Bytes likewise: a few environments that flood do not fill a node's disk within the hour.
const LOGGED_BYTES_PER_SECOND_MAX: u32 = 256 << 10;
/// Who was silent this long may write as much at once as it could have written since: a long traceback comes whole.
const BURST: Duration = Duration::from_secs(10);

/// Passes lines on until there are no more to come. Lines that are dropped are counted in `lost`.
pub async fn forward(environment: EnvironmentName, mut lines: Follow, log: Log, lost: Counter) {
    let mut pace = Pace { due: Instant::now() };
    while let Some(line) = lines.next().await {
        sleep(pace.pause_before(line.text.len(), Instant::now())).await;
        if line.lost > 0 {
            lost.inc_by(line.lost);
            let _turn = log.turn().await;
            let (generation, lost) = (line.generation, line.lost);
            tracing::warn!(target: OUTPUT, %environment, generation, lost, "more was written than is logged");
        }
        let _turn = log.turn().await;
        tell(&environment, &line);
    }
}

fn tell(environment: &EnvironmentName, line: &Line) {
    let stream = match line.stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let (generation, text) = (line.generation, String::from_utf8_lossy(&line.text));
    tracing::info!(target: OUTPUT, %environment, generation, stream, "{text}");
}

/// Spreads lines over time.
struct Pace {
    /// When all that was written so far is paid for.
    due: Instant,
}

impl Pace {
    fn pause_before(&mut self, bytes: usize, now: Instant) -> Duration {
        let for_line = Duration::from_secs(1) / LOGGED_LINES_PER_SECOND_MAX;
        let for_bytes = Duration::from_secs_f64(bytes as f64 / f64::from(LOGGED_BYTES_PER_SECOND_MAX));
        self.due = self.due.max(now) + for_line.max(for_bytes);
        self.due.saturating_duration_since(now).saturating_sub(BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_logged_at_once_and_a_flood_at_the_rate() {
        let now = Instant::now();
        let mut pace = Pace { due: now };
        let burst = LOGGED_LINES_PER_SECOND_MAX * BURST.as_secs() as u32;
        let pauses: Vec<_> = (0..burst + 2 * LOGGED_LINES_PER_SECOND_MAX).map(|_| pace.pause_before(1, now)).collect();
        assert_eq!(pauses[burst as usize - 1], Duration::ZERO);
        assert!(
            pauses.last().expect("some").abs_diff(Duration::from_secs(2)) < Duration::from_millis(10),
            "{pauses:?}"
        );
        let later = now + BURST + Duration::from_secs(2);
        assert_eq!(pace.pause_before(1, later), Duration::ZERO, "silence pays");
        let mut pace = Pace { due: now };
        let pause = pace.pause_before(LOGGED_BYTES_PER_SECOND_MAX as usize * 11, now);
        assert!(pause.abs_diff(Duration::from_secs(1)) < Duration::from_millis(10), "{pause:?}");
    }
}
