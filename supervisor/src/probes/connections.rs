//! The connections that are open, bounded: when all places are taken the oldest connection makes room.
//!
//! So nobody can keep a kubelet out by holding connections: a new one always gets its turn.

use std::collections::VecDeque;

use prometheus_client::metrics::counter::Counter;
use tokio::task::AbortHandle;

/// Far more than probes and scrapers need at once; each costs a descriptor and 8 KiB.
const PROBE_CONNECTIONS_MAX: usize = 64;

/// The open connections, oldest first. All end with it.
pub struct Connections {
    open: VecDeque<AbortHandle>,
    full: Counter,
}

impl Connections {
    /// None yet; `full` counts those that had to make room.
    pub fn new(full: Counter) -> Self {
        Self { open: VecDeque::new(), full }
    }

    /// Starts a conversation.
    pub fn add(&mut self, conversation: impl Future<Output = ()> + Send + 'static) {
        self.open.retain(|connection| !connection.is_finished());
        if self.open.len() >= PROBE_CONNECTIONS_MAX
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.abort();
            self.full.inc();
        }
        self.open.push_back(tokio::spawn(conversation).abort_handle());
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.open.iter().for_each(AbortHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn the_oldest_makes_room_and_a_new_one_gets_its_turn() {
        let full = Counter::default();
        let mut connections = Connections::new(full.clone());
        let (kept, oldest_ends) = oneshot::channel::<()>();
        connections.add(async move {
            std::future::pending::<()>().await;
            drop(kept);
        });
        for _ in 1..PROBE_CONNECTIONS_MAX {
            connections.add(std::future::pending());
        }
        assert_eq!(full.get(), 0);
        let (done, new_is_served) = oneshot::channel();
        connections.add(async move { done.send(()).expect("somebody waits") });
        assert_eq!(new_is_served.await, Ok(()));
        assert!(oldest_ends.await.is_err(), "its task was dropped");
        assert_eq!(full.get(), 1);
    }

    #[tokio::test]
    async fn ended_conversations_take_no_place() {
        let full = Counter::default();
        let mut connections = Connections::new(full.clone());
        for _ in 0..3 * PROBE_CONNECTIONS_MAX {
            connections.add(std::future::ready(()));
            tokio::task::yield_now().await;
        }
        assert_eq!(full.get(), 0);
    }
}
