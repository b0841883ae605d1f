//! A slow, stuck or flooding client or code server affects only its own calls.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::{Duration, Instant},
};

use super::{backend::send_all, *};

/// Far more than a call takes beside a loaded machine, far less than a call that waits for a stuck one.
const SOON: Duration = Duration::from_secs(5);

async fn works(client: &SendRequest<Bytes>) {
    for _ in 0..20 {
        let begun = Instant::now();
        let answer = tokio::time::timeout(SOON, call(client, request("Echo"), message(b"x"))).await;
        assert_eq!(answer.expect("not held up").expect("not reset").status(), 0);
        assert!(begun.elapsed() < SOON);
    }
}

/// The count once it has stopped growing.
async fn settled(count: &AtomicUsize) -> usize {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        match count.load(SeqCst) {
            now if now == before => return now,
            now => before = now,
        }
    }
}

#[tokio::test]
async fn a_thousand_stuck_calls_hold_up_no_other_on_their_connection() {
    let mut scene = Scene::new().await;
    let client = scene.client().await;
    let mut stuck = Vec::new();
    for _ in 0..1_000 {
        stuck.push(start(&client, request("Silent")).await);
    }
    for _ in 0..1_000 {
        scene.backend.next_head().await;
    }
    works(&client).await;
    works(&scene.client().await).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_a_flood_of_small_messages_keeps_its_other_calls() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let mut unread = Vec::new();
    // Together far more small frames than h2 lets lie unread on one connection.
    for _ in 0..6 {
        let (response, to_server) = start(&client, request("Flood")).await;
        unread.push((response.await.unwrap(), to_server));
    }
    let sent = settled(&scene.backend.flood_frames).await;
    assert!(sent > 6 * 32_000, "the windows are full: {sent}");
    works(&client).await;
    assert_eq!(scene.backend.connections.load(SeqCst), 1, "the calls in flight have kept their connection");
    works(&scene.client().await).await;
}

#[tokio::test]
async fn a_client_that_floods_a_code_server_that_does_not_read_keeps_its_other_calls() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let (mut floods, frames) = (Vec::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..2 {
        let (response, mut to_server) = start(&client, request("NeverReads")).await;
        let frames = Arc::clone(&frames);
        let flood = tokio::spawn(async move {
            while send_all(&mut to_server, message(b"abc")).await.is_ok() {
                frames.fetch_add(1, SeqCst);
            }
        });
        floods.push((response, flood));
    }
    let sent = settled(&frames).await;
    assert!(sent > 2 * 131_000, "the windows are full: {sent}");
    works(&client).await;
    assert_eq!(scene.backend.connections.load(SeqCst), 1, "the calls in flight have kept their connection");
    works(&scene.client().await).await;
    for (_, flood) in floods {
        flood.abort();
    }
}

#[tokio::test]
async fn a_client_whose_socket_is_full_holds_up_only_itself() {
    let scene = Scene::new().await;
    let stream = TcpStream::connect(("127.0.0.1", scene.port())).await.unwrap();
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(64 << 20).initial_connection_window_size(64 << 20);
    let (mut stuck, connection) = settings.handshake::<_, Bytes>(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let (response, _to_server) = stuck.send_request(request("Flood"), false).unwrap();
    let _response = response.await.unwrap();
    // From here on nobody reads its socket.
    driver.abort();
    let (_parked, mut stuck) = (driver, stuck);
    let _ = stuck.send_request(request("Flood"), false);
    tokio::time::sleep(Duration::from_millis(300)).await;
    works(&scene.client().await).await;
}
