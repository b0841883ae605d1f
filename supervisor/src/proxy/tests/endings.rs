//! How calls end before their regular end: deadlines, cancellation, a code server that goes.

use std::time::{Duration, Instant};

use h2::Reason;

use super::*;

const DEADLINE_EXCEEDED: i32 = 4;
const UNAVAILABLE: i32 = 14;

fn with_timeout(method: &str, timeout: &str) -> Request<()> {
    let mut request = request(method);
    request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
    request
}

#[tokio::test]
async fn a_deadline_before_headers_is_answered_with_headers_alone_and_cancels_the_call() {
    let mut scene = Scene::new().await;
    let begun = Instant::now();
    let (response, _to_server) = start(&scene.client().await, with_timeout("Silent", "100m")).await;
    let response = response.await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert!(response.body().is_end_stream());
    assert_eq!(answer(response).await.unwrap().status(), DEADLINE_EXCEEDED);
    assert_eq!(scene.backend.next_reset().await, Reason::CANCEL);
}

#[tokio::test]
async fn a_deadline_in_the_middle_of_a_stream_is_answered_in_trailers() {
    let mut scene = Scene::new().await;
    let (response, _to_server) = start(&scene.client().await, with_timeout("Opened", "100m")).await;
    let answer = answer(response.await.unwrap()).await.unwrap();
    assert_eq!((answer.body.as_ref(), answer.status()), (&b"part"[..], DEADLINE_EXCEEDED));
    assert_eq!(scene.backend.next_reset().await, Reason::CANCEL);
}

#[tokio::test]
async fn a_call_that_ends_in_time_does_not_notice_its_deadline() {
    let scene = Scene::new().await;
    let answer = call(&scene.client().await, with_timeout("Echo", "5S"), message(b"x")).await.unwrap();
    assert_eq!(answer.status(), 0);
}

#[tokio::test]
async fn a_client_that_cancels_reaches_the_code_server_before_and_after_headers() {
    let mut scene = Scene::new().await;
    let client = scene.client().await;
    for method in ["Silent", "Opened"] {
        for request_is_whole in [false, true] {
            let (response, mut to_server) = start(&client, request(method)).await;
            if request_is_whole {
                to_server.send_data(message(b"x"), true).unwrap();
            }
            let opened = if method == "Opened" { Some(response.await.unwrap()) } else { None };
            scene.backend.next_head().await;
            to_server.send_reset(Reason::CANCEL);
            assert_eq!(scene.backend.next_reset().await, Reason::CANCEL, "{method} {request_is_whole}");
            drop(opened);
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_calls() {
    let mut scene = Scene::new().await;
    let stream = TcpStream::connect(("127.0.0.1", scene.port())).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let (_response, _to_server) = client.send_request(request("Silent"), false).unwrap();
    scene.backend.next_head().await;
    driver.abort();
    assert_eq!(scene.backend.next_reset().await, Reason::CANCEL);
}

#[tokio::test]
async fn a_reset_by_the_code_server_reaches_the_client_with_its_reason() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let before = call(&client, request("Reset"), message(b"")).await.unwrap_err();
    assert!(before.is_reset() && before.reason() == Some(Reason::ENHANCE_YOUR_CALM), "{before:?}");
    let after = call(&client, request("OpenedThenReset"), message(b"")).await.unwrap_err();
    assert!(after.is_reset() && after.reason() == Some(Reason::INTERNAL_ERROR), "{after:?}");
}

#[tokio::test]
async fn a_code_server_that_dies_is_unavailable_before_and_after_headers() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let (opened, _to_server) = start(&client, request("Opened")).await;
    let opened = opened.await.unwrap();
    let died = call(&client, request("Die"), message(b"")).await.unwrap();
    assert_eq!(died.status(), UNAVAILABLE);
    assert!(died.message().contains("etl") && died.message().contains("ended during the call"), "{}", died.message());
    let died = answer(opened).await.unwrap();
    assert_eq!((died.body.as_ref(), died.status()), (&b"part"[..], UNAVAILABLE));
}

#[tokio::test]
async fn a_connection_that_the_code_server_closed_is_replaced_by_a_fresh_one() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    assert_eq!(call(&client, request("Die"), message(b"")).await.unwrap().status(), UNAVAILABLE);
    assert_eq!(call(&client, request("Echo"), message(b"x")).await.unwrap().status(), 0);
}

#[tokio::test]
async fn a_code_server_that_says_goaway_loses_no_call() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let (_response, _to_server) = start(&client, request("Silent")).await;
    for turn in 0..200 {
        if turn % 20 == 0 {
            drop(start(&client, with_timeout("GoAway", "1n")).await);
        }
        match call(&client, request("Echo"), message(b"x")).await {
            Ok(answer) => assert_eq!(answer.status(), 0),
            // gRPC's clients send such a call again by themselves.
            Err(error) => assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM)),
        }
    }
}
