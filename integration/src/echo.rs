//! Calls to the tiny echo server, through the proxy or straight to a socket: raw bytes out, raw bytes back.

use std::{path::Path, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use tonic::{
    Request, Response, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

/// Longest wait for one answer; a call that takes longer has been lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Where the route of a call is named.
const ROUTE: &str = "x-pexvisor-environment";

/// A client of one environment's echo server.
#[derive(Clone)]
pub struct Echo {
    channel: Channel,
    environment: Option<String>,
}

impl Echo {
    /// Calls `environment` through the proxy at `address` (`host:port`), routed by metadata.
    pub fn through(address: &str, environment: &str) -> Self {
        Self { environment: Some(environment.to_owned()), ..Self::at(&format!("http://{address}")) }
    }

    /// Calls whatever listens at this URI, without routing metadata.
    pub fn at(uri: &str) -> Self {
        let endpoint = Endpoint::from_shared(uri.to_owned()).expect("a URI");
        Self { channel: endpoint.connect_lazy(), environment: None }
    }

    /// Calls the server on a unix socket.
    pub fn on(socket: &Path) -> Self {
        Self::at(&format!("unix:{}", socket.display()))
    }

    /// A request with the route set.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(environment) = &self.environment {
            let value = MetadataValue::try_from(environment).expect("a name is ASCII");
            request.metadata_mut().insert(ROUTE, value);
        }
        request
    }

    /// One unary call of `tiny.Echo/<method>`.
    pub async fn call(&self, method: &str, body: impl Into<Bytes>) -> Result<Bytes, Status> {
        Ok(self.send(method, self.request(body.into())).await?.into_inner())
    }

    /// One unary call with the request's own metadata; the response comes with its metadata.
    pub async fn send(&self, method: &str, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let mut grpc = self.client().await?;
        let answer = grpc.unary(request, path(method), Raw);
        tokio::time::timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| Status::unknown("no answer at all"))?
    }

    /// A call with a stream of answers.
    pub async fn server_stream(&self, method: &str, body: impl Into<Bytes>) -> Result<Streaming<Bytes>, Status> {
        self.raw_stream(&format!("/tiny.Echo/{method}"), body).await
    }

    /// A call of any method that has a stream of answers.
    pub async fn raw_stream(&self, path: &str, body: impl Into<Bytes>) -> Result<Streaming<Bytes>, Status> {
        let (request, path) = (self.request(body.into()), path.parse().expect("a method's path"));
        Ok(self.client().await?.server_streaming(request, path, Raw).await?.into_inner())
    }

    /// A call with a stream of requests.
    pub async fn client_stream(&self, method: &str, bodies: Vec<Bytes>) -> Result<Bytes, Status> {
        let request = self.request(tokio_stream::iter(bodies));
        Ok(self.client().await?.client_streaming(request, path(method), Raw).await?.into_inner())
    }

    /// A call with streams both ways.
    pub async fn both_ways<S>(&self, method: &str, bodies: S) -> Result<Streaming<Bytes>, Status>
    where
        S: tokio_stream::Stream<Item = Bytes> + Send + 'static,
    {
        let request = self.request(bodies);
        Ok(self.client().await?.streaming(request, path(method), Raw).await?.into_inner())
    }

    /// What the server says it is: `<version>:<TINY_SALT>`.
    pub async fn marker(&self) -> Result<String, Status> {
        Ok(String::from_utf8_lossy(&self.call("Marker", "").await?).into_owned())
    }

    /// What the code server sees of its process and of the call.
    pub async fn facts(&self) -> Result<serde_json::Value, Status> {
        Ok(serde_json::from_slice(&self.call("Facts", "").await?).expect("Facts answers JSON"))
    }

    async fn client(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        grpc.ready().await.map_err(|e| Status::unavailable(format!("no connection: {e}")))?;
        Ok(grpc)
    }
}

fn path(method: &str) -> PathAndQuery {
    format!("/tiny.Echo/{method}").parse().expect("a method's path")
}

/// The codec that does nothing.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
