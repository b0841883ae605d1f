//! One gRPC connection: unary calls of raw messages, every grpc-status checked.
//!
//! The same generator measures every server, so it does as little as it can: no codec, no retries. Answers may come
//! compressed: Dagster's code server compresses all of them, asked or not.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use libdeflater::Decompressor;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use crate::address::{Address, Target};

/// Length of the prefix of a gRPC message: one flag byte and four of length.
const PREFIX_BYTES: usize = 5;

/// No answer here is near this size; a broken length must not allocate more.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why a call has no answer; completes "failed to call".
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("connect to {address:?}")]
    Connect { address: Address, source: std::io::Error },
    #[error("carry the call over HTTP/2: {0}")]
    Http(#[from] hyper::Error),
    #[error("get OK: grpc-status {status}, {message}")]
    Status { status: String, message: String },
    #[error("read the answer: {0}")]
    Malformed(&'static str),
}

/// An open connection; clones share it.
#[derive(Clone)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    metadata: HeaderMap,
}

impl Connection {
    /// Opens one HTTP/2 connection to the target.
    pub async fn open(target: &Target) -> Result<Self, CallError> {
        let failed = |source| CallError::Connect { address: target.address.clone(), source };
        let sender = match &target.address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                speak_http2(stream).await?
            }
            Address::Unix(path) => speak_http2(UnixStream::connect(path).await.map_err(failed)?).await?,
        };
        Ok(Self { sender, metadata: target.metadata.clone() })
    }

    /// One unary call: the message of the answer.
    pub async fn call(&mut self, method: &'static str, message: &Bytes) -> Result<Bytes, CallError> {
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(self.request(method, message)).await?.into_parts();
        check_status(&head.headers, Presence::Optional)?;
        let collected = body.collect().await?;
        match collected.trailers() {
            Some(trailers) => check_status(trailers, Presence::Required)?,
            None => check_status(&head.headers, Presence::Required)?,
        }
        unframe(collected.to_bytes())
    }

    fn request(&self, method: &'static str, message: &Bytes) -> Request<Full<Bytes>> {
        let uri = Uri::builder().scheme("http").authority("localhost").path_and_query(method).build();
        let mut request = Request::post(uri.expect("methods here are valid paths"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-accept-encoding", "identity, gzip")
            .body(Full::new(frame(message)))
            .expect("every part is valid");
        request.headers_mut().extend(self.metadata.clone());
        request
    }
}

async fn speak_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, CallError> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    // Its end shows in the next call.
    tokio::spawn(connection);
    Ok(sender)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Optional,
    Required,
}

fn check_status(headers: &HeaderMap, presence: Presence) -> Result<(), CallError> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match text("grpc-status") {
        Some(status) if status == "0" => Ok(()),
        Some(status) => Err(CallError::Status { status, message: text("grpc-message").unwrap_or_default() }),
        None if presence == Presence::Optional => Ok(()),
        None => Err(CallError::Malformed("no grpc-status")),
    }
}

fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("messages here are small");
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_slice(message);
    framed.freeze()
}

fn unframe(mut framed: Bytes) -> Result<Bytes, CallError> {
    if framed.len() < PREFIX_BYTES {
        return Err(CallError::Malformed("no message"));
    }
    let prefix = framed.split_to(PREFIX_BYTES);
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    match prefix[0] {
        _ if framed.len() != length as usize => Err(CallError::Malformed("not exactly one message")),
        0 => Ok(framed),
        _ => unzip(&framed),
    }
}

/// A gzip file ends with the length of its contents.
fn unzip(zipped: &[u8]) -> Result<Bytes, CallError> {
    let (_, end) = zipped.split_last_chunk::<4>().ok_or(CallError::Malformed("an empty gzip message"))?;
    let mut message = vec![0; (u32::from_le_bytes(*end) as usize).min(ANSWER_BYTES_MAX)];
    let unzipped = Decompressor::new().gzip_decompress(zipped, &mut message);
    unzipped.map_err(|_| CallError::Malformed("compressed in another way than gzip"))?;
    Ok(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framed_message_comes_back() {
        assert_eq!(unframe(frame(b"ping")).unwrap(), Bytes::from_static(b"ping"));
    }

    #[test]
    fn a_truncated_message_is_refused() {
        assert!(unframe(frame(b"ping").slice(..7)).is_err());
        assert!(unframe(Bytes::from_static(b"\0\0")).is_err());
    }

    #[test]
    fn a_compressed_message_is_read() {
        let mut zipped = vec![0; 100];
        let length = libdeflater::Compressor::default().gzip_compress(b"ping", &mut zipped).unwrap();
        let mut framed = frame(&zipped[..length]).to_vec();
        framed[0] = 1;
        assert_eq!(unframe(framed.into()).unwrap(), Bytes::from_static(b"ping"));
    }

    #[test]
    fn a_missing_status_is_no_success() {
        assert!(check_status(&HeaderMap::new(), Presence::Required).is_err());
    }
}
