//! Kills a set of processes that may fork while it is worked off, without the help of a cgroup.

use std::collections::BTreeSet;

use crate::{
    cgroup::{EMPTY_WAIT_MAX, wait_until},
    signal::{self, Signal},
};

/// What became of the set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Killed {
    /// Processes that were sent SIGKILL.
    pub count: usize,
    /// Those that are still there: they hang in the kernel, or fork faster than they die.
    pub survivors: Vec<i32>,
}

/// Kills what `list` finds, again and again until it finds nothing or [`EMPTY_WAIT_MAX`] is over: what forks meanwhile
/// is met in the next round.
pub(crate) fn kill_all<E>(list: impl Fn() -> Result<Vec<i32>, E>) -> Result<Killed, E> {
    let (mut killed, mut left) = (BTreeSet::new(), Ok(Vec::new()));
    wait_until(EMPTY_WAIT_MAX, || {
        left = list();
        let pids = left.as_deref().unwrap_or_default();
        pids.iter().for_each(|pid| kill(*pid));
        killed.extend(pids.iter().copied());
        left.is_err() || pids.is_empty()
    });
    Ok(Killed { count: killed.len(), survivors: left? })
}

/// Gone meanwhile is what we want; one that we may not kill shows as a survivor.
pub(crate) fn kill(pid: i32) {
    let _ = signal::send_to_pid(pid, Signal::KILL);
}
