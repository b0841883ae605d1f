//! grpc.health.v1 about the supervisor itself, for probes that can set neither metadata nor host. Status only.

use std::future::poll_fn;

use bytes::{BufMut, Bytes, BytesMut};
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Response, Uri, header::CONTENT_TYPE};
use prost::Message;
use tokio::sync::watch;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};

use super::{client::Client, refuse::Refusal};
use crate::words::Health;

const SERVICE: &str = "/grpc.health.v1.Health/";
/// Bytes of a request: a service name.
const REQUEST_BYTES_MAX: usize = 1024;
/// Compressed flag and length (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX_BYTES: usize = 5;

/// Whether the call is for the health service.
pub fn is_health(uri: &Uri) -> bool {
    uri.path().starts_with(SERVICE)
}

/// Answers one call of it.
pub async fn answer(client: &Client, uri: &Uri, body: RecvStream, respond: &mut SendResponse<Bytes>) {
    let mut health = client.shared.health.clone();
    let method = uri.path().strip_prefix(SERVICE).unwrap_or_default();
    let asked = match method {
        "Check" | "Watch" => read(body).await,
        _ => Err(Refusal::NoSuchMethod(method.to_owned())),
    };
    if let Err(refusal) = asked {
        return client.refuse(&refusal, respond);
    }
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let Ok(mut to_client) = respond.send_response(response, false) else { return };
    send(&mut to_client, &mut health);
    if method == "Watch" {
        watch(client, &mut to_client, &mut health).await;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let _ = to_client.send_trailers(trailers);
}

/// Reads the request; only the supervisor as a whole, the empty name, is known here.
async fn read(mut body: RecvStream) -> Result<(), Refusal> {
    let mut bytes = BytesMut::new();
    while let Some(Ok(data)) = body.data().await {
        // Fails only for a client that is gone.
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(Refusal::BadHealthRequest);
        }
    }
    let message = match bytes.split_first() {
        Some((0, _)) if bytes.len() >= PREFIX_BYTES => &bytes[PREFIX_BYTES..],
        _ => return Err(Refusal::BadHealthRequest),
    };
    let HealthCheckRequest { service } = HealthCheckRequest::decode(message).map_err(|_| Refusal::BadHealthRequest)?;
    if service.is_empty() { Ok(()) } else { Err(Refusal::NoSuchService(service)) }
}

/// Sends every change until the client has enough or the proxy closes: a watch must not hold that up.
async fn watch(client: &Client, to_client: &mut SendStream<Bytes>, health: &mut watch::Receiver<Health>) {
    loop {
        tokio::select! {
            _ = poll_fn(|cx| to_client.poll_reset(cx)) => return,
            () = client.closing.cancelled() => return,
            changed = health.changed() => match changed {
                Ok(()) => send(to_client, health),
                Err(_) => return,
            },
        }
    }
}

/// A few bytes, which h2 keeps until the client has room. It keeps more only when health changes under a client that does
/// not read, and health changes twice in the supervisor's life.
fn send(to_client: &mut SendStream<Bytes>, health: &mut watch::Receiver<Health>) {
    let status = match *health.borrow_and_update() {
        Health::Serving => ServingStatus::Serving,
        Health::NotServing => ServingStatus::NotServing,
    };
    let message = HealthCheckResponse { status: status.into() };
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + message.encoded_len());
    bytes.put_u8(0);
    bytes.put_uint(message.encoded_len() as u64, PREFIX_BYTES - 1);
    bytes.extend_from_slice(&message.encode_to_vec());
    // Fails only for a client that is gone.
    let _ = to_client.send_data(bytes.freeze(), false);
}
