//! Plain HTTP/1.1, as a probe or a health check speaks it.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// One GET on a connection of its own.
pub async fn get(address: &str, path: &str) -> Answer {
    send(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"), &[]).await
}

/// One PUT on a connection of its own.
pub async fn put(address: &str, path: &str, body: &[u8]) -> Answer {
    let head = format!("PUT {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n", body.len());
    send(address, &head, body).await
}

async fn send(address: &str, head: &str, body: &[u8]) -> Answer {
    let mut connection = TcpStream::connect(address).await.expect("connect");
    connection.write_all(head.as_bytes()).await.expect("send the head");
    connection.write_all(body).await.expect("send the body");
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).await.expect("read to the end");
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
    Answer { status, body: body.to_owned() }
}
