//! The proxy between real HTTP/2 clients and code servers on unix sockets.

mod backend;
mod cut_over;
mod doors;
mod endings;
mod isolation;
mod refusals;
mod unchanged;

use std::{num::NonZero, sync::Arc};

use bytes::{Bytes, BytesMut};
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request, Response};
use tokio::{net::TcpStream, sync::watch};

use super::{Config, Proxy};
use crate::{
    code_server::CodeSocket,
    door::Address,
    metrics::Metrics,
    route::{Route, Routes, Target},
    words::Health,
};
use backend::Backend;

/// A proxy with one environment, `etl`, that a backend serves.
struct Scene {
    proxy: Proxy,
    routes: Routes,
    backend: Backend,
    health: watch::Sender<Health>,
    dir: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let backend = Backend::start(&dir.path().join("1.sock"));
        let routes = Routes::default();
        routes.set(&"etl".parse().unwrap(), &Route::Serving(target(1, &backend)));
        let (health, health_seen) = watch::channel(Health::Serving);
        let config = Config { address: "127.0.0.1:0".parse().unwrap(), threads: NonZero::new(2) };
        let proxy = Proxy::start(&config, routes.clone(), health_seen, &Metrics::new()).await.unwrap();
        Self { proxy, routes, backend, health, dir }
    }

    fn port(&self) -> u16 {
        let Address::Tcp { port, .. } = *self.proxy.local() else { panic!("a TCP door") };
        port
    }

    async fn client(&self) -> SendRequest<Bytes> {
        client(TcpStream::connect(("127.0.0.1", self.port())).await.unwrap()).await
    }

    fn set(&self, route: &Route) {
        self.routes.set(&"etl".parse().unwrap(), route);
    }
}

fn target(generation: u64, backend: &Backend) -> Arc<Target> {
    let us = std::process::id().cast_signed();
    Arc::new(Target::new(generation, CodeSocket::new(backend.path().to_owned(), Arc::new(move |pid| pid == us))))
}

async fn client(io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static) -> SendRequest<Bytes> {
    let mut settings = h2::client::Builder::new();
    settings.initial_max_send_streams(2_000).max_header_list_size(64 * 1024);
    // Where the client itself would get stuck or give up is not what is tested here.
    settings.initial_connection_window_size(64 << 20).data_frame_budget(usize::MAX / 2);
    let (sender, connection) = settings.handshake(io).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A request for `etl` to one of the backend's methods.
fn request(method: &str) -> Request<()> {
    request_to("etl", method)
}

fn request_to(environment: &str, method: &str) -> Request<()> {
    Request::post(format!("http://localhost/test.Test/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-pexvisor-environment", environment)
        .body(())
        .unwrap()
}

/// One message as gRPC frames it.
fn message(payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::from(&[0][..]);
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.freeze()
}

/// Everything that came back of a call.
#[derive(Debug)]
struct Answer {
    head: http::response::Parts,
    body: Bytes,
    trailers: HeaderMap,
}

impl Answer {
    /// The status, in trailers or in a response of headers alone.
    fn status(&self) -> i32 {
        let status = self.trailers.get("grpc-status").or_else(|| self.head.headers.get("grpc-status"));
        status.expect("a status").to_str().unwrap().parse().unwrap()
    }

    fn message(&self) -> &str {
        let message = self.trailers.get("grpc-message").or_else(|| self.head.headers.get("grpc-message"));
        message.map_or("", |message| message.to_str().unwrap())
    }
}

async fn start(client: &SendRequest<Bytes>, request: Request<()>) -> (ResponseFuture, SendStream<Bytes>) {
    client.clone().ready().await.unwrap().send_request(request, false).unwrap()
}

async fn call(client: &SendRequest<Bytes>, request: Request<()>, body: Bytes) -> Result<Answer, h2::Error> {
    let (response, mut to_server) = start(client, request).await;
    to_server.send_data(body, true)?;
    answer(response.await?).await
}

async fn answer(response: Response<RecvStream>) -> Result<Answer, h2::Error> {
    let (head, mut from_server) = response.into_parts();
    let mut body = BytesMut::new();
    while let Some(data) = from_server.data().await {
        let data = data?;
        from_server.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    let trailers = from_server.trailers().await?.unwrap_or_default();
    Ok(Answer { head, body: body.freeze(), trailers })
}
