//! Counts the calls in flight to one generation, and ends new ones when the generation drains.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use tokio::sync::Notify;

/// Set when the gate is closed; the bits below count the calls in flight.
const CLOSED: u64 = 1 << 63;

/// Open until closed, and never open again.
#[derive(Debug, Default)]
pub struct Gate {
    /// Flag and count share one word, so that every change is one step and all threads see the same order of them.
    state: AtomicU64,
    emptied: Notify,
}

/// A call in flight; it leaves when this is dropped.
#[derive(Debug)]
pub struct Guard(Arc<Gate>);

impl Gate {
    /// Enters, unless the gate is closed. It counts first and looks second: who is let in is always counted.
    pub fn try_enter(self: &Arc<Self>) -> Option<Guard> {
        let guard = Guard(Arc::clone(self));
        let before = self.state.fetch_add(1, SeqCst);
        (before & CLOSED == 0).then_some(guard)
    }

    /// Lets nobody in from now on.
    pub fn close(&self) {
        self.state.fetch_or(CLOSED, SeqCst);
        self.emptied.notify_waiters();
    }

    /// Whether calls may still enter.
    pub fn is_open(&self) -> bool {
        self.state.load(SeqCst) & CLOSED == 0
    }

    /// Calls that have entered and not left.
    pub fn in_flight(&self) -> u64 {
        self.state.load(SeqCst) & !CLOSED
    }

    /// Returns when the gate is closed and the last call has left.
    pub async fn drained(&self) {
        let mut emptied = pin!(self.emptied.notified());
        loop {
            // Listen first and look second: what changes in between is heard.
            emptied.as_mut().enable();
            if self.state.load(SeqCst) == CLOSED {
                return;
            }
            emptied.as_mut().await;
            emptied.set(self.emptied.notified());
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.state.fetch_sub(1, SeqCst) == CLOSED | 1 {
            self.0.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, time::Duration};

    use super::*;

    async fn is_drained(gate: &Gate) -> bool {
        tokio::time::timeout(Duration::from_millis(20), gate.drained()).await.is_ok()
    }

    #[tokio::test]
    async fn a_gate_drains_when_it_is_closed_and_the_last_call_has_left() {
        let gate = Arc::new(Gate::default());
        let (first, second) = (gate.try_enter().unwrap(), gate.try_enter().unwrap());
        assert_eq!(gate.in_flight(), 2);
        gate.close();
        assert!(gate.try_enter().is_none() && !gate.is_open());
        assert_eq!(gate.in_flight(), 2, "who is refused does not stay counted");
        drop(first);
        assert!(!is_drained(&gate).await);
        drop(second);
        assert!(is_drained(&gate).await);
    }

    #[tokio::test]
    async fn an_empty_gate_is_drained_once_it_is_closed_and_not_before() {
        let gate = Arc::new(Gate::default());
        assert!(!is_drained(&gate).await);
        gate.close();
        assert!(is_drained(&gate).await);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_is_inside_after_the_drain_whatever_the_order_of_events() {
        for _ in 0..300 {
            let gate = Arc::new(Gate::default());
            let drained = Arc::new(AtomicBool::new(false));
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    let (gate, drained) = (Arc::clone(&gate), Arc::clone(&drained));
                    tokio::spawn(async move {
                        while let Some(_inside) = gate.try_enter() {
                            assert!(!drained.load(SeqCst), "a call was inside after the drain");
                            tokio::task::yield_now().await;
                            assert!(!drained.load(SeqCst), "the drain ended before the call");
                        }
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            gate.close();
            tokio::time::timeout(Duration::from_secs(10), gate.drained()).await.expect("no wake-up is lost");
            drained.store(true, SeqCst);
            for caller in callers {
                caller.await.unwrap();
            }
        }
    }
}
