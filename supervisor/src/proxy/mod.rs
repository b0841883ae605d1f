//! The proxy: carries gRPC calls from clients to the code server of the environment that each call names.
//!
//! It works at the level of HTTP/2 and decodes no message: any method, any size, metadata, deadlines, cancellation,
//! trailers and status pass unchanged. It speaks to h2 itself, without hyper between, because only h2 lets a stream's
//! window stay shut while its frames are read (see `pump`), and resets pass with their reason.
//!
//! Which generation serves an environment is read from [`Routes`], written by the environment's driver. Each client
//! connection has its own connections to code servers. [`refuse`] is the table of the calls that end here.

mod burst;
mod call;
mod client;
mod deadline;
mod destination;
mod entrance;
mod health;
mod limits;
mod pump;
mod quiet_stream;
mod refuse;
mod upstream;
mod worker;

use std::{
    collections::HashMap,
    io,
    num::NonZero,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    door::{Address, BindError, Listener, SocketMode},
    metrics::Metrics,
    route::Routes,
    words::{EnvironmentName, Health},
};
use client::Shared;
use entrance::Entrance;
use limits::{WAITING_BYTES_MAX, connections_max};
use worker::Worker;

/// How the proxy is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the common door listens: HTTP/2 with prior knowledge, without TLS.
    pub address: Address,
    /// Threads that carry calls; `None` leaves it to the machine's size (see [`limits::threads_by_default`]).
    pub threads: Option<NonZero<usize>>,
}

/// The proxy did not start. Display completes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread or runtime.
    #[error("start a thread for the proxy; raise the limits of processes and open files")]
    Thread(#[source] io::Error),
    /// No door.
    #[error("open the proxy's door")]
    Door(#[from] BindError),
}

/// The running proxy. Dropping it cuts off every call; see [`Proxy::shutdown`].
pub struct Proxy {
    entrance: Entrance,
    workers: Vec<Worker>,
    local: Address,
    closing: CancellationToken,
    environment_doors: Mutex<HashMap<EnvironmentName, CancellationToken>>,
}

impl Proxy {
    /// Opens the common door and carries calls by `routes`. `health` is what health checks of the supervisor are told.
    pub async fn start(
        config: &Config,
        routes: Routes,
        health: watch::Receiver<Health>,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let threads = config.threads.map_or_else(limits::threads_by_default, NonZero::get);
        let workers: Vec<_> = (0..threads).map(Worker::start).collect::<io::Result<_>>().map_err(StartError::Thread)?;
        let shared = Shared {
            routes,
            health,
            calls: metrics.calls.clone(),
            waiting: pump::WaitingTotal::new(WAITING_BYTES_MAX),
        };
        let entrance = Entrance {
            shared,
            threads: workers.iter().map(|worker| worker.handle().clone()).collect(),
            turn: Arc::default(),
            room: Arc::new(Semaphore::new(connections_max())),
            turned_away: metrics.limits.counter("connections"),
            connections: TaskTracker::new(),
        };
        let closing = CancellationToken::new();
        let local = open_door(&entrance, config.address.clone(), None, closing.clone()).await?;
        Ok(Self { entrance, workers, local, closing, environment_doors: Mutex::default() })
    }

    /// Where the common door listens, with its real port.
    pub fn local(&self) -> &Address {
        &self.local
    }

    /// Opens the unix socket of one environment at `path`: calls that come in there are for no other. One that was open
    /// for it is closed.
    pub async fn open_environment_door(&self, name: &EnvironmentName, path: &Path) -> Result<(), BindError> {
        self.close_environment_door(name);
        let closing = self.closing.child_token();
        let address = Address::Unix(path.to_owned());
        open_door(&self.entrance, address, Some(name.clone()), closing.clone()).await?;
        self.doors().insert(name.clone(), closing);
        Ok(())
    }

    /// Closes the unix socket of one environment; connections there end with their last call.
    pub fn close_environment_door(&self, name: &EnvironmentName) {
        if let Some(closing) = self.doors().remove(name) {
            closing.cancel();
        }
    }

    /// Takes no new calls, lets those in flight end for `grace` at most, and cuts off the rest.
    pub async fn shutdown(self, grace: Duration) {
        self.closing.cancel();
        let connections = &self.entrance.connections;
        connections.close();
        if timeout(grace, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections of the proxy were cut off at shutdown");
        }
        drop(self.workers);
    }

    fn doors(&self) -> std::sync::MutexGuard<'_, HashMap<EnvironmentName, CancellationToken>> {
        // A panic elsewhere cannot leave the map half-changed.
        self.environment_doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens on the first data thread: control work cannot hold up who comes in. All doors live on that one thread, so one
/// that was told to close has done so before another opens at its path.
async fn open_door(
    entrance: &Entrance,
    address: Address,
    fixed: Option<EnvironmentName>,
    closing: CancellationToken,
) -> Result<Address, BindError> {
    let thread = &entrance.threads[0];
    let bound = thread.spawn(async move { Listener::bind(&address, SocketMode::Everyone).await });
    let listener = bound.await.expect("binding does not panic and the thread outlives it")?;
    let local = listener.local().clone();
    thread.spawn(entrance.clone().run(listener, fixed, closing));
    Ok(local)
}

#[cfg(test)]
mod tests;
