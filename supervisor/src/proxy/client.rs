//! One connection of a client: its HTTP/2 side, and what its calls share.

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;
use h2::server::SendResponse;
use http::request::Parts;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    burst::Burst,
    call,
    destination::{self, Source},
    health,
    limits::{
        CANCELLED_UNSEEN_MAX, CLIENT_FRAME_BYTES_MAX, CLIENT_WINDOW_BYTES, CONNECTION_WINDOW_BYTES, HANDSHAKE_MAX,
        RESET_CALLS_REMEMBERED, ROUTE_LOOKUPS_MAX, SEND_BUFFER_BYTES, STRAY_FRAMES_MAX, STREAMS_PER_CONNECTION_MAX,
        UNREAD_FRAMES_BUDGET,
    },
    pump::WaitingTotal,
    refuse::Refusal,
    upstream::Upstreams,
};
use crate::{
    door::{Connection, HEADER_LIST_BYTES_MAX},
    metrics::CallMetrics,
    route::{Guard, Route, Routes, Target},
    words::{EnvironmentName, Health},
};

/// What all connections share.
#[derive(Clone)]
pub struct Shared {
    /// Where names lead.
    pub routes: Routes,
    /// What health checks of the supervisor are told.
    pub health: watch::Receiver<Health>,
    /// What is counted.
    pub calls: CallMetrics,
    /// What waits to be read.
    pub waiting: WaitingTotal,
}

/// One client connection.
pub struct Client {
    pub(super) shared: Shared,
    pub(super) upstreams: Upstreams,
    /// Cancelled when the connection is to end with its last call.
    pub(super) closing: CancellationToken,
    /// The environment whose own door this came in at.
    fixed: Option<EnvironmentName>,
}

/// Who answers a call.
pub enum Answerer {
    /// The code server of this environment.
    CodeServer(EnvironmentName),
    /// The supervisor, about itself.
    Health,
}

impl Client {
    /// A client that came in at the door of `fixed`, or at the common one.
    pub fn new(shared: Shared, fixed: Option<EnvironmentName>, closing: CancellationToken) -> Self {
        Self { upstreams: Upstreams::new(shared.calls.clone()), shared, closing, fixed }
    }

    /// Serves the connection to its end. Once closing, it takes no new calls and ends with its last one.
    pub async fn serve(self, connection: Connection) {
        let handshake = timeout(HANDSHAKE_MAX, settings().handshake(connection));
        let Ok(Ok(mut connection)) = handshake.await else { return };
        let client = Arc::new(self);
        let mut burst = Burst::default();
        loop {
            tokio::select! {
                accepted = poll_fn(|cx| burst.watch(connection.poll_accept(cx))) => match accepted {
                    Some(Ok((request, respond))) => {
                        tokio::spawn(call::serve(Arc::clone(&client), request, respond));
                        burst.taken_one().await;
                    }
                    // Its calls hear of the end by themselves.
                    Some(Err(_)) | None => return,
                },
                () = client.closing.cancelled() => break,
            }
        }
        connection.graceful_shutdown();
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(call::serve(Arc::clone(&client), request, respond));
        }
    }

    /// Who is to answer the call.
    pub fn answerer(&self, head: &Parts) -> Result<Answerer, Refusal> {
        if !is_grpc(head) {
            return Err(Refusal::NotGrpc);
        }
        let destination = destination::of(self.fixed.as_ref(), &head.uri, &head.headers);
        let is_health = health::is_health(&head.uri);
        match destination {
            Err(Refusal::NoRoute) if is_health => Ok(Answerer::Health),
            // The host may be the supervisor's own name: probes cannot set another.
            Ok(to) if is_health && to.source == Source::Host && self.shared.routes.get(&to.name).is_none() => {
                Ok(Answerer::Health)
            }
            Ok(to) => Ok(Answerer::CodeServer(to.name)),
            Err(refusal) => Err(refusal),
        }
    }

    /// Enters the generation that serves `name` now.
    pub fn enter(&self, name: &EnvironmentName) -> Result<(Arc<Target>, Guard), Refusal> {
        let text = || name.as_str().to_owned();
        for _ in 0..ROUTE_LOOKUPS_MAX {
            let target = match self.shared.routes.get(name) {
                Some(Route::Serving(target)) => target,
                Some(Route::Starting) => return Err(Refusal::Starting(text())),
                Some(Route::Failed { message }) => return Err(Refusal::Failed { name: text(), message }),
                Some(Route::Stopped) => return Err(Refusal::Stopped(text())),
                None => return Err(Refusal::NoSuchEnvironment(text())),
            };
            if let Some(guard) = target.try_enter() {
                return Ok((target, guard));
            }
        }
        Err(Refusal::Unsettled(text()))
    }

    /// Answers with a refusal alone, and counts it.
    pub fn refuse(&self, refusal: &Refusal, respond: &mut SendResponse<Bytes>) {
        self.shared.calls.refused(refusal.word());
        refusal.answer(respond);
    }
}

/// POST with `application/grpc`, alone or with a suffix such as `+proto` (gRPC over HTTP/2, "Requests").
fn is_grpc(head: &Parts) -> bool {
    let content_type = head.headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let suffix = content_type.strip_prefix(b"application/grpc");
    head.method == http::Method::POST && suffix.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

fn settings() -> h2::server::Builder {
    let mut settings = h2::server::Builder::new();
    settings
        .initial_window_size(CLIENT_WINDOW_BYTES)
        .max_frame_size(CLIENT_FRAME_BYTES_MAX)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_concurrent_reset_streams(RESET_CALLS_REMEMBERED)
        .max_pending_accept_reset_streams(CANCELLED_UNSEEN_MAX)
        .max_local_error_reset_streams(Some(STRAY_FRAMES_MAX))
        .data_frame_budget(UNREAD_FRAMES_BUDGET);
    settings
}
