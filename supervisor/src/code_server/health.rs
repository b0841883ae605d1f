//! Asks one code server for its health: grpc.health.v1 over its own socket.

use std::{error::Error as _, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::{
    Status, Streaming,
    codec::CompressionEncoding,
    transport::{Channel, Endpoint, Error},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::service_fn;

use super::socket::CodeSocket;

/// How long one answer may take. A code server that holds Python's lock in an import answers late, not never.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Questions in a row without any answer before a serving code server counts as hung. Each takes a twelfth of the time
/// that is allowed in all, so one answer that is late or one pause of the whole machine kills nothing.
const MISSES_MAX: u32 = 12;

/// Returns when the code server has answered nothing for `lost_after`. Every answer counts as one, also NOT_SERVING and an
/// error status: a code server may say that it must not be called, and is not hung when it does.
pub async fn lost(socket: &CodeSocket, service: &str, lost_after: Duration) {
    let allowed = lost_after / MISSES_MAX;
    let mut due = interval(allowed);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut misses = 0;
    while misses < MISSES_MAX {
        due.tick().await;
        let answered = timeout(allowed, answers(socket, service)).await.unwrap_or(false);
        misses = if answered { 0 } else { misses + 1 };
    }
}

/// One question on a connection of its own. A status with a source is our side's: it was never sent.
async fn answers(socket: &CodeSocket, service: &str) -> bool {
    let Ok(mut health) = Health::connect(socket.clone()).await else { return false };
    health.check(service).await.err().is_none_or(|status| status.source().is_none())
}

/// A connection that asks for health again and again.
pub struct Health(HealthClient<Channel>);

impl Health {
    /// Connects. The socket's owner is checked before a byte is sent.
    pub async fn connect(socket: CodeSocket) -> Result<Self, Error> {
        let connector = service_fn(move |_| {
            let socket = socket.clone();
            async move { socket.connect().await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost").timeout(ANSWER_TIMEOUT);
        let client = HealthClient::new(endpoint.connect_with_connector(connector).await?);
        // grpcio compresses what a server was told to compress, whoever asks: Dagster's answers come in gzip.
        Ok(Self(client.accept_compressed(CompressionEncoding::Gzip)))
    }

    /// The code server's own answer for a service name.
    pub async fn check(&mut self, service: &str) -> Result<ServingStatus, Status> {
        let request = HealthCheckRequest { service: service.to_owned() };
        Ok(self.0.check(request).await?.into_inner().status())
    }

    /// The code server's own stream of answers for a service name. The timeout holds for its beginning only.
    pub async fn watch(&mut self, service: &str) -> Result<Streaming<HealthCheckResponse>, Status> {
        let request = HealthCheckRequest { service: service.to_owned() };
        Ok(self.0.watch(request).await?.into_inner())
    }
}
