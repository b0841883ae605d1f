//! A store for tests that does what stores do on bad days, on demand. One reply per request, chosen by a closure.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Frame, Incoming},
    header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, LOCATION, RANGE},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What a request gets.
pub enum Reply {
    /// An empty answer with this status.
    Status(u16),
    /// A redirect.
    Redirect(String),
    /// The range asked for, if the ETag asked for is this one; 412 otherwise.
    Range(&'static str),
    /// As `Range`, but the body ends after this share of it, in percent, as `End` says.
    Broken(u64, End),
    /// All of it with a length, whatever was asked for.
    Whole,
    /// All of it without a length.
    Chunked,
    /// As `Whole`, broken after this many percent.
    WholeBroken(u64, End),
}

/// How a body that is not whole ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The connection breaks.
    Break,
    /// Nothing more comes.
    Stall,
}

/// The server; it ends with the runtime of its test.
pub struct FaultServer {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl FaultServer {
    /// Serves `content`; `reply` gets the request's number, from 0, and its headers.
    pub async fn start(content: Vec<u8>, reply: impl Fn(usize, &HeaderMap) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let asked = Arc::new(AtomicUsize::new(0));
        let (content, reply, count) = (Bytes::from(content), Arc::new(reply), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (content, reply, count) = (content.clone(), reply.clone(), count.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let number = count.fetch_add(1, Ordering::SeqCst);
                    let answer = answer(&content, reply(number, request.headers()), request.headers());
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, asked }
    }

    /// Requests so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The URL of what it serves.
    pub fn url(&self) -> String {
        format!("http://{}/bucket/key?signature=secret", self.address)
    }
}

fn answer(content: &Bytes, reply: Reply, headers: &HeaderMap) -> Response<UnsyncBoxBody<Bytes, io::Error>> {
    let all = 0..content.len() as u64;
    match reply {
        Reply::Status(status) => plain(status),
        Reply::Redirect(to) => {
            let mut answer = plain(302);
            answer.headers_mut().insert(LOCATION, to.parse().expect("a URL"));
            answer
        }
        Reply::Range(etag) if headers.get(IF_MATCH).is_some_and(|asked| asked != etag) => plain(412),
        Reply::Range(etag) => part(content, headers, etag, 100, End::Break),
        Reply::Broken(percent, end) => part(content, headers, "\"v1\"", percent, end),
        Reply::Whole => with_length(Response::builder(), content, all, 100, End::Break),
        Reply::WholeBroken(percent, end) => with_length(Response::builder(), content, all, percent, end),
        Reply::Chunked => Response::new(body(content, all, 100, End::Break)),
    }
}

fn plain(status: u16) -> Response<UnsyncBoxBody<Bytes, io::Error>> {
    let nothing = body(&Bytes::new(), 0..0, 100, End::Break);
    Response::builder().status(status).body(nothing).expect("a good status")
}

fn part(
    content: &Bytes,
    headers: &HeaderMap,
    etag: &str,
    percent: u64,
    end: End,
) -> Response<UnsyncBoxBody<Bytes, io::Error>> {
    let asked = headers.get(RANGE).and_then(|range| range.to_str().ok()).expect("a range is asked for");
    let (from, to) = asked.strip_prefix("bytes=").and_then(|range| range.split_once('-')).expect("bytes=a-b");
    let total = content.len() as u64;
    let range = from.parse().expect("a number")..(to.parse::<u64>().expect("a number") + 1).min(total);
    let content_range = format!("bytes {}-{}/{total}", range.start, range.end - 1);
    let answer = Response::builder().status(206).header(CONTENT_RANGE, content_range).header(ETAG, etag);
    with_length(answer, content, range, percent, end)
}

fn with_length(
    answer: hyper::http::response::Builder,
    content: &Bytes,
    range: Range<u64>,
    percent: u64,
    end: End,
) -> Response<UnsyncBoxBody<Bytes, io::Error>> {
    let answer = answer.header(CONTENT_LENGTH, range.end - range.start);
    answer.body(body(content, range, percent, end)).expect("good headers")
}

fn body(content: &Bytes, range: Range<u64>, percent: u64, end: End) -> UnsyncBoxBody<Bytes, io::Error> {
    let given = (range.end - range.start) * percent / 100;
    let index = |at: u64| usize::try_from(at).expect("it is in memory");
    let bytes = content.slice(index(range.start)..index(range.start + given));
    let chunks: Vec<_> = bytes.chunks(64 * 1024).map(|chunk| Ok(Frame::data(bytes.slice_ref(chunk)))).collect();
    let chunks = stream::iter(chunks);
    let last = stream::once(async move {
        match end {
            // After what was given has been sent: hyper drops what it still buffers when a body fails.
            End::Break => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            End::Stall => std::future::pending().await,
        }
        Err(io::ErrorKind::ConnectionReset.into())
    });
    match percent {
        100 => StreamBody::new(chunks).boxed_unsync(),
        _ => StreamBody::new(chunks.chain(last)).boxed_unsync(),
    }
}
