//! The proxy passes any gRPC call on unchanged: streams, sizes, metadata, deadlines, cancellation, trailers, status.

use bytes::Bytes;
use pexvisor_integration::{Echo, Supervisor, http2};
use tokio_stream::StreamExt as _;
use tonic::{Code, metadata::MetadataValue};

async fn serving() -> (Supervisor, Echo) {
    let supervisor = Supervisor::start().await;
    supervisor.control().deploy_ready("etl", supervisor.store.echo("v1")).await;
    let echo = supervisor.echo("etl");
    (supervisor, echo)
}

#[tokio::test]
async fn streams_of_every_kind_pass() {
    let (_supervisor, echo) = serving().await;
    let numbers: Vec<_> = echo.server_stream("CountUp", "1000").await.unwrap().map(Result::unwrap).collect().await;
    assert_eq!(numbers.len(), 1000);
    assert_eq!(numbers[999], "999");
    let parts = ["a", "b", "c"].map(Bytes::from).to_vec();
    assert_eq!(echo.client_stream("Join", parts.clone()).await.unwrap(), "abc");
    let both: Vec<_> = echo
        .both_ways("EchoEach", tokio_stream::iter(parts.clone()))
        .await
        .unwrap()
        .map(Result::unwrap)
        .collect()
        .await;
    assert_eq!(both, parts);
}

#[tokio::test]
async fn both_ways_each_message_passes_before_the_next_is_sent() {
    let (_supervisor, echo) = serving().await;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let message = |number| Bytes::from(format!("ping {number}"));
    // The code server's headers come with its first answer.
    send.send(message(0)).await.unwrap();
    let mut answers = echo.both_ways("EchoEach", tokio_stream::wrappers::ReceiverStream::new(receive)).await.unwrap();
    for number in 0..50 {
        assert_eq!(answers.message().await.unwrap(), Some(message(number)));
        send.send(message(number + 1)).await.unwrap();
    }
    assert_eq!(answers.message().await.unwrap(), Some(message(50)));
    drop(send);
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_message_of_64_mib_passes_both_ways() {
    let (_supervisor, echo) = serving().await;
    let big = Bytes::from(vec![7_u8; 64 << 20]);
    assert_eq!(echo.call("Unary", big.clone()).await.unwrap(), big);
}

#[tokio::test]
async fn metadata_passes_and_the_deadline_too() {
    let (_supervisor, echo) = serving().await;
    let mut request = echo.request(Bytes::new());
    request.metadata_mut().insert("x-test", MetadataValue::from_static("kept as it is"));
    request.metadata_mut().insert_bin("x-test-bin", MetadataValue::from_bytes(&[0, 255, 10]));
    request.set_timeout(std::time::Duration::from_secs(50));
    let answer = echo.send("Facts", request).await.unwrap();
    let facts: serde_json::Value = serde_json::from_slice(answer.get_ref()).unwrap();
    let metadata = facts["metadata"].as_array().unwrap();
    assert!(metadata.contains(&serde_json::json!(["x-test", "kept as it is"])), "{metadata:#?}");
    assert!(metadata.iter().any(|pair| pair[0] == "x-test-bin" && pair[1] == r"b'\x00\xff\n'"), "{metadata:#?}");
    let left = facts["seconds_left"].as_f64().unwrap();
    assert!(left > 0.0 && left <= 50.0, "{left}");
}

#[tokio::test]
async fn status_message_and_trailers_pass() {
    let (_supervisor, echo) = serving().await;
    let status = echo.call("Refuse", "as the code server says: ü").await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DataLoss, "as the code server says: ü"));
    assert_eq!(status.metadata().get("tiny-trailer").unwrap(), "kept");
    assert_eq!(status.metadata().get_bin("tiny-bin").unwrap().to_bytes().unwrap(), Bytes::from_static(&[0, 255]));
    let unknown = echo.call("NoSuchMethod", "").await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented, "the code server's own answer: {unknown:?}");
}

#[tokio::test]
async fn an_expired_deadline_is_deadline_exceeded() {
    let (supervisor, _echo) = serving().await;
    // At the level of HTTP/2, because a gRPC client gives up by itself at that moment.
    let headers = [("x-pexvisor-environment", "etl"), ("grpc-timeout", "300m")];
    let status = http2::unary_status(&supervisor.proxy, "/tiny.Echo/Wait", &headers, b"/nowhere/at/all").await;
    assert_eq!(status, Code::DeadlineExceeded as i32);
}

#[tokio::test]
async fn a_cancelled_call_ends_at_the_code_server() {
    let (supervisor, echo) = serving().await;
    let waiting = tokio::spawn(async move { echo.call("Wait", "/nowhere/at/all").await });
    let in_flight = async || {
        let state = supervisor.control().get("etl").await.unwrap();
        state.generations.iter().map(|generation| generation.calls_in_flight).sum::<u64>()
    };
    pexvisor_integration::eventually("the call is in flight", async || (in_flight().await == 1).then_some(())).await;
    waiting.abort();
    pexvisor_integration::eventually("the call is gone", async || (in_flight().await == 0).then_some(())).await;
    supervisor.control().stop("etl").await.unwrap();
}
