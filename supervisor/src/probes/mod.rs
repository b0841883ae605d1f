//! The probes: `/livez`, `/readyz` and `/metrics` over plain HTTP/1.1, for kubelets, load balancers and Prometheus.
//!
//! Says nothing about any one environment but what `/metrics` counts: grpc.health.v1 has that.

mod answer;
mod connections;

use std::time::Duration;

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use self::connections::Connections;
use crate::{
    artifact::Artifacts,
    door::{Connection, Listener},
    environment::Registry,
    init::Reaper,
    metrics::Metrics,
    words::Health,
};

/// The head of a request, and how long it may take to come; the second also bounds an idle connection.
const HEAD_BYTES_MAX: usize = 8 << 10;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The life of a connection. A reader that takes its answer too slowly does not hold it for ever.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// What the probes answer from.
#[derive(Clone)]
pub struct Probes {
    /// The environments.
    pub registry: Registry,
    /// What is on disk.
    pub artifacts: Artifacts,
    /// Counters.
    pub metrics: Metrics,
    /// Counts orphans.
    pub reaper: Reaper,
    /// Whether the doors are open.
    pub health: watch::Receiver<Health>,
}

impl Probes {
    /// Serves at `listener` until `shutdown`, which should be the last thing of all: until then the probes tell the
    /// truth about the rest.
    pub async fn serve(self, mut listener: Listener, shutdown: CancellationToken) {
        let mut connections = Connections::new(self.metrics.limits.counter("probe_connections_max"));
        loop {
            tokio::select! {
                connection = listener.accept() => connections.add(self.clone().converse(connection)),
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn converse(self, connection: Connection) {
        let service =
            service_fn(|request| std::future::ready(Ok::<_, std::convert::Infallible>(self.answer(&request))));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(connection), service);
        // Over time is no error: the other end was slow, or idle.
        if let Ok(Err(error)) = timeout(CONNECTION_TIMEOUT, served).await {
            tracing::debug!(%error, "a probe's connection failed");
        }
    }
}
