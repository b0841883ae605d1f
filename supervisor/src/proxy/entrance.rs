//! Takes connections from a door and deals them out to the data threads, one after the other.
//!
//! Dealt out by turns, not by who wakes first (SO_REUSEPORT, or all threads on one listener): the few long-lived
//! connections of gRPC clients would too often meet on one thread.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use prometheus_client::metrics::counter::Counter;
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::client::{Client, Shared};
use crate::{
    door::{Connection, Listener},
    words::EnvironmentName,
};

/// What all doors of the proxy share.
#[derive(Clone)]
pub struct Entrance {
    /// What all connections share.
    pub shared: Shared,
    /// The data threads.
    pub threads: Arc<[Handle]>,
    /// Whose turn it is.
    pub turn: Arc<AtomicUsize>,
    /// Room for connections.
    pub room: Arc<Semaphore>,
    /// Connections that found no room.
    pub turned_away: Counter,
    /// The connections there are.
    pub connections: TaskTracker,
}

impl Entrance {
    /// Lets connections in until `closing`; those inside then end with their last call.
    pub async fn run(self, mut door: Listener, fixed: Option<EnvironmentName>, closing: CancellationToken) {
        loop {
            tokio::select! {
                connection = door.accept() => self.let_in(connection, fixed.clone(), &closing),
                () = closing.cancelled() => return,
            }
        }
    }

    fn let_in(&self, connection: Connection, fixed: Option<EnvironmentName>, closing: &CancellationToken) {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            self.turned_away.inc();
            return;
        };
        // Fails only when the connection is gone already.
        let Ok(detached) = connection.detach() else { return };
        let client = Client::new(self.shared.clone(), fixed, closing.clone());
        let thread = &self.threads[self.turn.fetch_add(1, Relaxed) % self.threads.len()];
        let serve = async move {
            if let Ok(connection) = detached.attach() {
                client.serve(connection).await;
            }
            drop(room);
        };
        self.connections.spawn_on(serve, thread);
    }
}
