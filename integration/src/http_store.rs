//! An HTTP server that offers artifacts and misbehaves as a test tells it to, and counts what it was asked for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What it does with every request.
#[derive(Clone)]
pub enum Manner {
    /// Answers with these bytes.
    Serves(Vec<u8>),
    /// Answers with this status and body.
    Answers(u16, String),
    /// Promises these bytes, sends half of them, and hangs up.
    HangsUp(Vec<u8>),
    /// Promises these bytes, sends half of them, and says no more.
    Stalls(Vec<u8>),
    /// Takes the request and never answers.
    NeverAnswers,
    /// Answers 503 SlowDown this many times, then serves.
    SlowsDown(u32, Vec<u8>),
}

/// A running server; gone on drop.
pub struct HttpStore {
    address: String,
    asked: Arc<AtomicU32>,
    accepting: JoinHandle<()>,
}

impl HttpStore {
    /// Listens on a port of its own.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(AtomicU32::new(0));
        let accepting = tokio::spawn(accept(listener, manner, asked.clone()));
        Self { address, asked, accepting }
    }

    /// The URL of an artifact here.
    pub fn url(&self) -> String {
        format!("http://{}/artifact.pex?signature=presigned", self.address)
    }

    /// Requests so far.
    pub fn asked(&self) -> u32 {
        self.asked.load(Relaxed)
    }
}

impl Drop for HttpStore {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, manner: Manner, asked: Arc<AtomicU32>) {
    while let Ok((connection, _)) = listener.accept().await {
        let (manner, number) = (manner.clone(), asked.fetch_add(1, Relaxed));
        tokio::spawn(async move {
            // The client may hang up at any time.
            let _ = answer(connection, manner, number).await;
        });
    }
}

async fn answer(mut connection: TcpStream, manner: Manner, number: u32) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let full = |bytes: &Vec<u8>| bytes.len();
    match manner {
        Manner::Serves(bytes) => send(&mut connection, 200, full(&bytes), &bytes).await,
        Manner::Answers(status, body) => send(&mut connection, status, body.len(), body.as_bytes()).await,
        Manner::HangsUp(bytes) => send(&mut connection, 200, full(&bytes), &bytes[..bytes.len() / 2]).await,
        Manner::SlowsDown(times, _) if number < times => {
            let body = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
            send(&mut connection, 503, body.len(), body.as_bytes()).await
        }
        Manner::SlowsDown(_, bytes) => send(&mut connection, 200, full(&bytes), &bytes).await,
        Manner::Stalls(bytes) => {
            send(&mut connection, 200, full(&bytes), &bytes[..bytes.len() / 2]).await?;
            until_hung_up(&mut connection).await
        }
        Manner::NeverAnswers => until_hung_up(&mut connection).await,
    }
}

async fn send(connection: &mut TcpStream, status: u16, length: usize, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(body).await?;
    connection.flush().await
}

async fn until_hung_up(connection: &mut TcpStream) -> std::io::Result<()> {
    let waited = tokio::time::timeout(Duration::from_secs(600), connection.read_u8()).await;
    waited.map_or(Ok(()), |read| read.map(drop))
}
