//! The native code server: answers every unary call with its own bytes, and health checks with SERVING.
//!
//! Whatever stands before it is then what a measurement shows.

use std::{convert::Infallible, path::Path};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, combinators::WithTrailers};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixListener;

/// A framed `HealthCheckResponse` with status SERVING.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";

type Trailers = std::future::Ready<Option<Result<HeaderMap, Infallible>>>;
type Answer = Response<WithTrailers<Full<Bytes>, Trailers>>;

/// Serves until killed.
pub async fn serve(socket: &Path) -> std::io::Result<()> {
    let listener = UnixListener::bind(socket)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let connection = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(1024)
            .serve_connection(TokioIo::new(stream), service_fn(answer));
        // A client that hangs up is no news.
        tokio::spawn(connection);
    }
}

async fn answer(request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let message = match request.uri().path() {
        HEALTH_CHECK => Bytes::from_static(SERVING),
        _ => request.into_body().collect().await?.to_bytes(),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(message).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}
