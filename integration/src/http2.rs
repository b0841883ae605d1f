//! One gRPC call at the level of HTTP/2, for what a gRPC client would not let through: it waits, whatever the deadline.

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// The grpc-status of a unary call, from the headers or the trailers.
pub async fn unary_status(address: &str, path: &str, headers: &[(&str, &str)], message: &[u8]) -> i32 {
    let stream = TcpStream::connect(address).await.expect("connect");
    let connection = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, driver) = connection.expect("a handshake");
    tokio::spawn(driver);
    let mut request = Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(framed(message))).expect("a request")).await;
    let response = response.expect("an answer");
    let early = response.headers().get("grpc-status").cloned();
    let body = response.into_body().collect().await.expect("a body to its end");
    let late = body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
    let status = early.or(late).expect("a status");
    status.to_str().expect("digits").parse().expect("a number")
}

/// gRPC's frame around one message, not compressed.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a short message"));
    frame.put_slice(message);
    frame.freeze()
}
