//! Takes calls that came together in small groups, so that the first are at the code server while the last are still taken.
//!
//! Otherwise client, proxy and code server would wait for each other: each would work through a whole burst before the
//! next one gets any of it. It says when to pause, and takes no call itself.

use std::task::Poll;

use super::limits::{GROUP_CALLS, GROUPED_CALLS_MAX};

/// The calls taken since the connection last had none.
#[derive(Default)]
pub struct Burst {
    taken: usize,
}

impl Burst {
    /// Passes on what the connection says when it is asked for a call; a burst ends when it has none.
    pub fn watch<T>(&mut self, next: Poll<T>) -> Poll<T> {
        if next.is_pending() {
            self.taken = 0;
        }
        next
    }

    /// Counts a call, and after each group lets what was taken go on first.
    pub async fn taken_one(&mut self) {
        if self.count() == Next::Pause {
            tokio::task::yield_now().await;
        }
    }

    fn count(&mut self) -> Next {
        self.taken += 1;
        let ends_group = self.taken.is_multiple_of(GROUP_CALLS) && self.taken <= GROUPED_CALLS_MAX;
        if ends_group { Next::Pause } else { Next::Take }
    }
}

/// What to do after a call was taken.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Take the next one.
    Take,
    /// Let those taken go on first.
    Pause,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(burst: &mut Burst, calls: usize) -> usize {
        (0..calls).filter(|_| burst.count() == Next::Pause).count()
    }

    #[test]
    fn a_burst_pauses_after_each_group_and_a_large_one_not_for_long() {
        let mut burst = Burst::default();
        assert_eq!(pauses(&mut burst, GROUP_CALLS - 1), 0);
        assert_eq!(pauses(&mut burst, 1), 1);
        assert_eq!(pauses(&mut burst, 10 * GROUPED_CALLS_MAX), GROUPED_CALLS_MAX / GROUP_CALLS - 1);
    }

    #[test]
    fn calls_that_come_one_by_one_never_pause() {
        let mut burst = Burst::default();
        for _ in 0..10 * GROUP_CALLS {
            assert_eq!(burst.count(), Next::Take);
            assert!(burst.watch(Poll::<()>::Pending).is_pending());
        }
    }
}
