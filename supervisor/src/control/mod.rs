//! The control API: gRPC in, the supervisor's own words inside, gRPC out.
//!
//! `parse` and `show` translate, `service` passes on, `grpc_status` is the one place where an error gets its code. Nothing
//! here decides what happens to an environment.

mod admission;
mod describe;
mod grpc_status;
mod health;
mod parse;
mod service;
mod show;
mod streams;

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use pexvisor_proto::v1::supervisor_server::SupervisorServer;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;

pub use admission::{Origin, OriginOf};
pub use describe::About;

use self::{admission::Admission, health::HealthService, service::Service};
use crate::{
    artifact::Artifacts,
    door::{HEADER_LIST_BYTES_MAX, Listener},
    environment::Registry,
    metrics::Metrics,
};

/// Largest request: a Deploy with all its variables and arguments takes half a megabyte.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// Largest answer: a List of a thousand environments with all their variables.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Calls at once on one connection: a control plane may follow a deploy of each of its environments.
const STREAMS_PER_CONNECTION_MAX: u32 = 1024;
/// A peer that went away without a word is noticed within the two together, and its streams end.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// After the end was announced, calls have this long to take their last message.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Everything that the control API answers from.
#[derive(Clone)]
pub struct Control {
    /// The environments.
    pub registry: Registry,
    /// What is on disk.
    pub artifacts: Artifacts,
    /// The supervisor itself.
    pub about: About,
    /// Counters.
    pub metrics: Metrics,
    /// Tells whose a local process is, so that environments are kept out.
    pub origin_of: OriginOf,
}

impl Control {
    /// Serves at `listener` until `shutdown`; open streams then end with UNAVAILABLE.
    pub async fn serve(self, listener: Listener, shutdown: CancellationToken) {
        let door = listener.local().clone();
        let admission = Arc::new(Admission::new(self.origin_of.clone(), &self.metrics));
        let incoming = listener.filter_map(move |connection| {
            let admitted = connection.map(|connection| admission.admit(connection)).transpose();
            std::future::ready(admitted)
        });
        let goodbye = async {
            shutdown.cancelled().await;
            tokio::time::sleep(GOODBYE_TIMEOUT).await;
        };
        tokio::select! {
            served = self.server(&shutdown).serve_with_incoming_shutdown(incoming, shutdown.cancelled()) => {
                if let Err(error) = served {
                    tracing::error!(%door, %error, "the control API ended");
                }
            }
            () = goodbye => {}
        }
    }

    fn server(&self, shutdown: &CancellationToken) -> tonic::transport::server::Router {
        let service = Service::new(self, shutdown.clone());
        let service = SupervisorServer::new(service)
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(ANSWER_BYTES_MAX);
        let health = HealthService::new(self.registry.clone(), shutdown.clone());
        Server::builder()
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .add_service(service)
            .add_service(HealthServer::new(health))
            .add_service(reflection().build_v1().expect("our own descriptors are sound"))
            .add_service(reflection().build_v1alpha().expect("our own descriptors are sound"))
    }
}

/// Both versions are served: grpcurl 1.8 asks for v1alpha only, newer clients for v1.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pexvisor_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
        .include_reflection_service(false)
}
