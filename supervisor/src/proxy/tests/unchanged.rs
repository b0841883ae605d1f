//! What passes, passes as it is.

use super::{
    backend::{send_all, trailers},
    *,
};

#[tokio::test]
async fn a_unary_call_with_its_metadata_and_trailers() {
    let mut scene = Scene::new().await;
    let mut sent = request("Echo");
    for (name, value) in [("x-text", "a b"), ("x-text", "again"), ("x-bytes-bin", "AAEC/w=="), ("grpc-timeout", "9S")] {
        sent.headers_mut().append(name, value.parse().unwrap());
    }
    sent.headers_mut().append("user-agent", "grpc-python/1.85".parse().unwrap());
    let expected = sent.headers().clone();
    let answer = call(&scene.client().await, sent, message(b"hello")).await.unwrap();
    assert_eq!((answer.status(), answer.body.clone()), (0, message(b"hello")));
    let head = scene.backend.next_head().await;
    assert_eq!(head.headers, expected, "nothing added, nothing gone");
    assert_eq!(head.uri, "http://localhost/test.Test/Echo");
    let names: Vec<_> = answer.head.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["content-type", "x-from-server", "x-bytes-bin"], "no date, no length");
    assert_eq!(answer.head.headers["x-from-server"].as_bytes(), "é".as_bytes());
    assert_eq!(answer.trailers["x-trailer-bin"], "AQID");
}

#[tokio::test]
async fn a_response_of_headers_alone() {
    let scene = Scene::new().await;
    let (response, _to_server) = start(&scene.client().await, request("TrailersOnly")).await;
    let response = response.await.unwrap();
    assert!(response.body().is_end_stream(), "it stays one frame");
    assert_eq!(response.headers()["grpc-status"], "5");
    assert_eq!(response.headers()["grpc-message"], "gone%20fishing");
}

#[tokio::test]
async fn messages_of_both_sides_in_turn_and_the_requests_trailers() {
    let scene = Scene::new().await;
    let (response, mut to_server) = start(&scene.client().await, request("Echo")).await;
    let mut from_server = response.await.expect("headers come before the first message").into_body();
    for turn in 0..100_u32 {
        let sent = message(&turn.to_be_bytes());
        to_server.send_data(sent.clone(), false).unwrap();
        let got = from_server.data().await.unwrap().unwrap();
        from_server.flow_control().release_capacity(got.len()).unwrap();
        assert_eq!(got, sent);
    }
    to_server.send_trailers(trailers("x-from-client", "bye")).unwrap();
    assert!(from_server.data().await.is_none());
    assert_eq!(from_server.trailers().await.unwrap().unwrap()["x-from-client"], "bye");
}

#[tokio::test]
async fn a_compressed_message_is_not_looked_into() {
    let scene = Scene::new().await;
    let mut sent = request("Echo");
    sent.headers_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    let not_gzip_at_all = Bytes::from_static(b"\x01\0\0\0\x02zz");
    let answer = call(&scene.client().await, sent, not_gzip_at_all.clone()).await.unwrap();
    assert_eq!((answer.status(), answer.body), (0, not_gzip_at_all));
}

#[tokio::test]
async fn a_message_of_64_mb() {
    let scene = Scene::new().await;
    let payload: Vec<u8> = (0..64_000_000_u32).map(|index| (index % 251) as u8).collect();
    let sent = message(&payload);
    let (response, mut to_server) = start(&scene.client().await, request("Echo")).await;
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            send_all(&mut to_server, sent).await.unwrap();
            to_server.send_data(Bytes::new(), true).unwrap();
        }
    });
    let answer = answer(response.await.unwrap()).await.unwrap();
    sending.await.unwrap();
    assert!(answer.body == sent && answer.status() == 0);
}

#[tokio::test]
async fn headers_of_60_kb() {
    let mut scene = Scene::new().await;
    let mut sent = request("Echo");
    sent.headers_mut().insert("x-large", "v".repeat(60_000).parse().unwrap());
    assert_eq!(call(&scene.client().await, sent, message(b"")).await.unwrap().status(), 0);
    assert_eq!(scene.backend.next_head().await.headers["x-large"].len(), 60_000);
}

#[tokio::test]
async fn calls_of_one_connection_share_one_to_the_code_server() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let calls = (0..50).map(|_| call(&client, request("Echo"), message(b"x")));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 0);
    }
    assert_eq!(scene.backend.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}
