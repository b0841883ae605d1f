//! The connection to the supervisor.

use std::{path::PathBuf, time::Duration};

use hyper_util::rt::TokioIo;
use pexvisor_proto::v1::supervisor_client::SupervisorClient;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Error};
use tower::service_fn;

use crate::{address::ControlAddress, error::Problem};

/// A client of the control API.
pub type Client = SupervisorClient<Channel>;

/// A container network that takes longer than this does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// `logs -f` and `watch` may hear nothing for hours: a dead peer is noticed within this and [`PING_TIMEOUT`].
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// An answer may list every environment with all its variables.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Connects, or says why not.
pub async fn connect(address: ControlAddress) -> Result<Client, Problem> {
    let channel = match &address {
        ControlAddress::Unix(path) => unix(path.clone()).await,
        ControlAddress::Tcp(authority) => tcp(authority).await,
    };
    let channel = channel.map_err(|error| Problem::Connect { address, source: error.into() })?;
    Ok(SupervisorClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
}

async fn tcp(authority: &str) -> Result<Channel, Error> {
    patient(Endpoint::from_shared(format!("http://{authority}"))?).connect().await
}

async fn unix(path: PathBuf) -> Result<Channel, Error> {
    let connector = service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    patient(Endpoint::from_static("http://localhost")).connect_with_connector(connector).await
}

fn patient(endpoint: Endpoint) -> Endpoint {
    endpoint.connect_timeout(CONNECT_TIMEOUT).http2_keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT)
}
