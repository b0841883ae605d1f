//! How long to pause before the next restart of a code server that keeps dying.

use std::time::Duration;

/// The first pause: short, because most crashes are single and every pause is an outage.
pub const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: a minute of outage after the cause is gone is what an operator tolerates without a Restart.
pub const PAUSE_MAX: Duration = Duration::from_secs(60);
/// From this many crashes in a row the environment shows CRASH_LOOP: five pauses have passed, about three seconds.
pub const LOOP_CRASHES_MIN: u32 = 5;
/// A generation that served this long has its earlier crashes forgotten.
pub const STEADY_AFTER: Duration = Duration::from_secs(60);

/// Crashes in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crashes(u32);

impl Crashes {
    /// One more.
    pub fn count(&mut self) {
        self.0 = self.0.saturating_add(1);
    }

    /// Back to none.
    pub fn forget(&mut self) {
        self.0 = 0;
    }

    /// So many that it should be called a loop?
    pub fn is_loop(self) -> bool {
        self.0 >= LOOP_CRASHES_MIN
    }
}

/// Doubles from [`PAUSE_MIN`] with every crash, up to [`PAUSE_MAX`].
pub fn pause(crashes: Crashes) -> Duration {
    let doublings = crashes.0.saturating_sub(1).min(16);
    PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<_> = [1, 2, 3, 11, u32::MAX].map(|n| pause(Crashes(n)).as_millis()).into();
        assert_eq!(pauses, [100, 200, 400, 60_000, 60_000]);
    }
}
