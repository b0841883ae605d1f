//! The connections to code servers that carry the calls of one client connection.
//!
//! They are not shared with other clients: whatever one client does to them is its own affair.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use h2::client::SendRequest;
use prometheus_client::metrics::counter::Counter;

use super::{
    limits::{
        CONNECTION_WINDOW_BYTES, RESET_CALLS_REMEMBERED, SEND_BUFFER_BYTES, SERVER_WINDOW_BYTES, UNREAD_FRAMES_BUDGET,
    },
    quiet_stream::QuietStream,
};
use crate::{
    code_server::ConnectError, door::HEADER_LIST_BYTES_MAX, metrics::CallMetrics, route::Target, words::EnvironmentName,
};

/// One connection to each generation that the client's calls go to, opened by the first call.
pub struct Upstreams {
    all: Mutex<Vec<Arc<Upstream>>>,
    calls: CallMetrics,
}

struct Upstream {
    target: Arc<Target>,
    passed: Counter,
    /// Held while connecting, so that calls that come together share one connection.
    sender: tokio::sync::Mutex<Option<SendRequest<Bytes>>>,
}

impl Upstreams {
    /// None yet; calls are counted in `calls`.
    pub fn new(calls: CallMetrics) -> Self {
        Self { all: Mutex::default(), calls }
    }

    /// A sender on a live connection to `target`, which serves environment `name`, for one call.
    pub async fn sender(
        &self,
        name: &EnvironmentName,
        target: &Arc<Target>,
    ) -> Result<SendRequest<Bytes>, ConnectError> {
        let upstream = self.upstream(name, target);
        let sender = upstream.live_sender().await?;
        upstream.passed.inc();
        Ok(sender)
    }

    fn upstream(&self, name: &EnvironmentName, target: &Arc<Target>) -> Arc<Upstream> {
        // A panic elsewhere cannot leave the list half-changed.
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.iter().find(|upstream| Arc::ptr_eq(&upstream.target, target)) {
            return Arc::clone(found);
        }
        // Generations that drain take no new calls: theirs go on without being listed here.
        all.retain(|upstream| upstream.target.is_open());
        let passed = self.calls.passed(name);
        let new = Arc::new(Upstream { target: Arc::clone(target), passed, sender: tokio::sync::Mutex::default() });
        all.push(Arc::clone(&new));
        new
    }
}

impl Upstream {
    async fn live_sender(&self) -> Result<SendRequest<Bytes>, ConnectError> {
        let mut sender = self.sender.lock().await;
        if let Some(sender) = sender.as_ref() {
            // Fails once the code server has closed the connection or said GOAWAY.
            if let Ok(ready) = sender.clone().ready().await {
                return Ok(ready);
            }
        }
        let fresh = connect(&self.target).await?;
        *sender = Some(fresh.clone());
        Ok(fresh)
    }
}

async fn connect(target: &Target) -> Result<SendRequest<Bytes>, ConnectError> {
    let socket = target.socket();
    let failed = |source| ConnectError::Io { path: socket.path().to_owned(), source };
    let stream = QuietStream::new(socket.connect().await?).map_err(failed)?;
    let handshake = settings().handshake::<_, Bytes>(stream).await;
    let (sender, connection) = handshake.map_err(|error| failed(io::Error::other(error)))?;
    tokio::spawn(async move {
        // Each call on it hears of its end by itself.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a code server ended");
        }
    });
    Ok(sender)
}

fn settings() -> h2::client::Builder {
    let mut settings = h2::client::Builder::new();
    settings
        .enable_push(false)
        .initial_window_size(SERVER_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_concurrent_reset_streams(RESET_CALLS_REMEMBERED)
        // Calls that the client cancels are reset here, and the code server's late frames are no fault of the client.
        .max_local_error_reset_streams(None)
        .data_frame_budget(UNREAD_FRAMES_BUDGET);
    settings
}
