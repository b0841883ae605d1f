//! A code server of which every method does one thing, so that a test can tell what reached it.

use std::{
    future::poll_fn,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, Request, Response};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinSet,
};

/// A running backend; dropping it closes its socket and all connections.
pub struct Backend {
    path: PathBuf,
    /// What the methods have to tell.
    pub told: mpsc::Receiver<Told>,
    pub connections: Arc<AtomicUsize>,
    /// Frames that its floods have sent.
    pub flood_frames: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// What reached the backend.
#[derive(Debug)]
pub enum Told {
    Head(Box<http::request::Parts>),
    Reset(Reason),
}

impl Backend {
    pub fn start(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (tell, told) = mpsc::channel(100_000);
        let (connections, flood_frames): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(
            listener,
            Teller { tell, flood_frames: Arc::clone(&flood_frames) },
            Arc::clone(&connections),
        ));
        Self { path: path.to_owned(), told, connections, flood_frames, _tasks: tasks }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The reason of the next reset that reached it.
    pub async fn next_reset(&mut self) -> Reason {
        let next = async {
            loop {
                if let Told::Reset(reason) = self.told.recv().await.unwrap() {
                    return reason;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), next).await.expect("the reset reaches the code server")
    }

    pub async fn next_head(&mut self) -> http::request::Parts {
        loop {
            if let Told::Head(head) = self.told.recv().await.unwrap() {
                return *head;
            }
        }
    }
}

/// What the methods tell with.
#[derive(Clone)]
struct Teller {
    tell: mpsc::Sender<Told>,
    flood_frames: Arc<AtomicUsize>,
}

impl Teller {
    fn try_send(&self, told: Told) -> Result<(), mpsc::error::TrySendError<Told>> {
        self.tell.try_send(told)
    }
}

async fn accept(listener: UnixListener, tell: Teller, connections: Arc<AtomicUsize>) {
    let mut tasks = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, SeqCst);
        tasks.spawn(serve(stream, tell.clone()));
    }
}

async fn serve(stream: UnixStream, tell: Teller) {
    let mut settings = h2::server::Builder::new();
    settings.max_header_list_size(64 * 1024).max_pending_accept_reset_streams(2_000);
    // Where the code server itself would get stuck or give up is not what is tested here.
    settings.initial_connection_window_size(64 << 20).data_frame_budget(usize::MAX / 2);
    let Ok(mut connection) = settings.handshake::<_, Bytes>(stream).await else { return };
    let mut calls = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        match request.uri().path().rsplit('/').next().unwrap() {
            "Die" => return,
            "GoAway" => connection.graceful_shutdown(),
            _ => {}
        }
        calls.spawn(method(request, respond, tell.clone()));
    }
    calls.join_all().await;
}

async fn method(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, tell: Teller) {
    let (head, body) = request.into_parts();
    let method = head.uri.path().rsplit('/').next().unwrap().to_owned();
    tell.try_send(Told::Head(Box::new(head))).unwrap();
    match &*method {
        "Echo" => echo(body, &mut respond).await,
        "TrailersOnly" => trailers_only(&mut respond),
        "Silent" => {
            let reason = poll_fn(|cx| respond.poll_reset(cx)).await.unwrap_or(Reason::NO_ERROR);
            tell.try_send(Told::Reset(reason)).unwrap();
        }
        "Reset" => respond.send_reset(Reason::ENHANCE_YOUR_CALM),
        "Opened" => opened(&mut respond, &tell).await,
        "OpenedThenReset" => {
            let mut to_client = respond.send_response(head_of_answer(), false).unwrap();
            to_client.send_data(Bytes::from_static(b"part"), false).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            to_client.send_reset(Reason::INTERNAL_ERROR);
        }
        "Flood" => flood(respond.send_response(head_of_answer(), false).unwrap(), &tell.flood_frames).await,
        "NeverReads" => std::future::pending().await,
        other => panic!("no method {other}"),
    }
}

fn head_of_answer() -> Response<()> {
    let head = Response::builder().header("content-type", "application/grpc");
    head.header("x-from-server", "é").header("x-bytes-bin", "AAEC/w").body(()).unwrap()
}

/// Sends back what comes, as it comes.
async fn echo(mut body: RecvStream, respond: &mut SendResponse<Bytes>) {
    let mut to_client = respond.send_response(head_of_answer(), false).unwrap();
    while let Some(Ok(data)) = body.data().await {
        let count = data.len();
        if send_all(&mut to_client, data).await.is_err() {
            return;
        }
        body.flow_control().release_capacity(count).unwrap();
    }
    let mut trailers = body.trailers().await.ok().flatten().unwrap_or_default();
    trailers.insert("grpc-status", 0.into());
    trailers.insert("x-trailer-bin", "AQID".parse().unwrap());
    let _ = to_client.send_trailers(trailers);
}

fn trailers_only(respond: &mut SendResponse<Bytes>) {
    let mut response = head_of_answer();
    response.headers_mut().insert("grpc-status", 5.into());
    response.headers_mut().insert("grpc-message", "gone%20fishing".parse().unwrap());
    respond.send_response(response, true).unwrap();
}

async fn opened(respond: &mut SendResponse<Bytes>, tell: &Teller) {
    let mut to_client = respond.send_response(head_of_answer(), false).unwrap();
    to_client.send_data(Bytes::from_static(b"part"), false).unwrap();
    let reason = poll_fn(|cx| to_client.poll_reset(cx)).await.unwrap_or(Reason::NO_ERROR);
    tell.try_send(Told::Reset(reason)).unwrap();
}

/// Messages of a few bytes without end, each in a frame of its own.
async fn flood(mut to_client: SendStream<Bytes>, frames: &AtomicUsize) {
    while send_all(&mut to_client, Bytes::from_static(b"\0\0\0\0\x03abc")).await.is_ok() {
        frames.fetch_add(1, SeqCst);
    }
}

pub async fn send_all(to: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        to.reserve_capacity(data.len());
        if to.capacity() == 0 {
            poll_fn(|cx| to.poll_capacity(cx)).await.unwrap_or_else(|| Err(Reason::CANCEL.into()))?;
        }
        let part = data.split_to(data.len().min(to.capacity()));
        to.send_data(part, false)?;
    }
    Ok(())
}

/// The trailers of the tests' requests.
pub fn trailers(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), http::HeaderValue::from_static(value))])
}
