//! Lines for the person who waits: one per step, on stderr, with the seconds since the start.

use std::{sync::LazyLock, time::Instant};

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Tells what goes on.
pub fn say(line: &str) {
    eprintln!("bench {:7.1} s  {line}", STARTED.elapsed().as_secs_f64());
}
