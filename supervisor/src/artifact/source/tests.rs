//! Claims about both network stores, against a server that misbehaves on demand.

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::{
    fault_server::{End, FaultServer, Reply},
    *,
};
use crate::{artifact::staging::Written, words::Digest};

/// As patient as a test should be.
const QUICK: Patience = Patience { stall_window: Duration::from_millis(400), pause_first: Duration::from_millis(5) };
/// Three parts and a bit.
const BYTES: usize = 26_000_000;
const V1: &str = "\"v1\"";

/// No two stretches of it are alike.
fn content() -> Vec<u8> {
    let mut content = vec![0; BYTES];
    for (number, stretch) in content.chunks_mut(4096).enumerate() {
        stretch[..8].copy_from_slice(&number.to_le_bytes());
    }
    content
}

/// The two clients, so that a claim can be made of both.
#[derive(Clone, Copy, Debug)]
enum Client {
    Http,
    S3,
}

/// Fetches with this client: the digest of what came, or the error.
async fn fetch(client: Client, server: &FaultServer) -> Result<Digest, SourceError> {
    let tmp = tempfile::tempdir().expect("tmp");
    let staging =
        Staging::create(tmp.path().join("x"), u64::MAX, watch::channel(Written::default()).0).expect("a file");
    let s3 = match client {
        Client::Http => s3::S3::from_environment(QUICK),
        Client::S3 => s3::S3::at_endpoint(&format!("http://{}", server.address), QUICK).await,
    };
    let sources = Sources { s3, http: http::Http::new(QUICK) };
    let location = match client {
        Client::Http => Location::Http(server.url().parse().expect("a URL")),
        Client::S3 => Location::S3 { bucket: "bucket".into(), key: "key".into() },
    };
    Box::pin(sources.fill(&location, &staging)).await?;
    Ok(staging.digest().await.expect("hashed").0)
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

#[test]
fn a_location_is_shown_without_its_secrets() {
    let url = "https://user:secret@host:81/a.pex?X-Amz-Signature=secret".parse().expect("a URL");
    assert_eq!(Location::Http(url).to_string(), "https://host:81/a.pex");
}

#[tokio::test]
async fn an_object_comes_in_parts_of_one_version() {
    for client in [Client::Http, Client::S3] {
        let server = FaultServer::start(content(), |_, _| Reply::Range(V1)).await;
        assert_eq!(fetch(client, &server).await.expect("fetched"), sha256(&content()), "{client:?}");
        assert_eq!(server.asked(), 4, "{client:?}");
    }
}

#[tokio::test]
async fn a_store_that_ignores_ranges_is_read_in_one_go() {
    for client in [Client::Http, Client::S3] {
        for chunked in [false, true] {
            let reply = move |_, _: &_| if chunked { Reply::Chunked } else { Reply::Whole };
            let server = FaultServer::start(content(), reply).await;
            assert_eq!(fetch(client, &server).await.expect("fetched"), sha256(&content()), "{client:?}");
            assert_eq!(server.asked(), 1, "{client:?}");
        }
    }
}

#[tokio::test]
async fn a_transfer_that_breaks_off_goes_on_where_it_was() {
    for client in [Client::Http, Client::S3] {
        let reply = |number, _: &_| if number == 1 { Reply::Broken(50, End::Break) } else { Reply::Range(V1) };
        let server = FaultServer::start(content(), reply).await;
        assert_eq!(fetch(client, &server).await.expect("fetched"), sha256(&content()), "{client:?}");
        assert_eq!(server.asked(), 5, "{client:?}");
    }
}

#[tokio::test]
async fn a_whole_object_that_breaks_off_is_read_anew() {
    for client in [Client::Http, Client::S3] {
        let reply = |number, _: &_| if number == 0 { Reply::WholeBroken(50, End::Break) } else { Reply::Whole };
        let server = FaultServer::start(content(), reply).await;
        assert_eq!(fetch(client, &server).await.expect("fetched"), sha256(&content()), "{client:?}");
    }
}

#[tokio::test]
async fn a_store_in_bad_health_is_asked_again_and_a_refusal_is_not() {
    for client in [Client::Http, Client::S3] {
        for status in [500, 502, 503, 429] {
            let reply = move |number, _: &_| if number < 2 { Reply::Status(status) } else { Reply::Range(V1) };
            let server = FaultServer::start(content(), reply).await;
            assert_eq!(fetch(client, &server).await.expect("fetched"), sha256(&content()), "{client:?} {status}");
        }
        for status in [403, 404, 400] {
            let server = FaultServer::start(content(), move |_, _| Reply::Status(status)).await;
            let error = fetch(client, &server).await.expect_err("refused");
            assert_eq!(server.asked(), 1, "{client:?} {status}");
            assert!(error.to_string().contains(&status.to_string()), "{client:?}: {error}");
        }
    }
}

#[tokio::test]
async fn each_lasting_failure_has_an_error_of_its_own() {
    let always = async |client, reply: fn() -> Reply| {
        let server = FaultServer::start(content(), move |_, _| reply()).await;
        let error = fetch(client, &server).await.expect_err("it fails");
        assert!(!error.to_string().contains("secret"), "{error}");
        error
    };
    for client in [Client::Http, Client::S3] {
        let error = always(client, || Reply::Status(403)).await;
        assert!(matches!(error, SourceError::Forbidden { .. }), "{client:?}: {error:?}");
        let error = always(client, || Reply::Status(404)).await;
        assert!(matches!(error, SourceError::NotFound { .. }), "{client:?}: {error:?}");
        let error = always(client, || Reply::Status(500)).await;
        assert!(matches!(error, SourceError::ServerError { .. }), "{client:?}: {error:?}");
        let error = always(client, || Reply::Status(503)).await;
        assert!(matches!(error, SourceError::SlowDown { .. }), "{client:?}: {error:?}");
        let error = always(client, || Reply::Broken(1, End::Stall)).await;
        assert!(matches!(error, SourceError::Stalled { .. }), "{client:?}: {error:?}");
        let error = always(client, || Reply::WholeBroken(1, End::Stall)).await;
        assert!(matches!(error, SourceError::Stalled { .. }), "{client:?}: {error:?}");
        let error = always(client, || Reply::Broken(1, End::Break)).await;
        assert!(matches!(error, SourceError::Truncated { .. }), "{client:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_stall_is_given_up_after_two_windows() {
    for client in [Client::Http, Client::S3] {
        let server = FaultServer::start(content(), |_, _| Reply::Broken(0, End::Stall)).await;
        let started = Instant::now();
        fetch(client, &server).await.expect_err("it stalls");
        assert!(started.elapsed() < 10 * QUICK.stall_window, "{client:?}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn an_object_that_changes_between_two_parts_is_told() {
    for client in [Client::Http, Client::S3] {
        let reply = |number, _: &_| Reply::Range(if number == 0 { V1 } else { "\"v2\"" });
        let server = FaultServer::start(content(), reply).await;
        let error = fetch(client, &server).await.expect_err("it changed");
        assert!(matches!(error, SourceError::Changed { .. }), "{client:?}: {error:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_a_few_times() {
    let target = FaultServer::start(content(), |_, _| Reply::Range(V1)).await;
    let url = target.url();
    let server = FaultServer::start(content(), move |_, _| Reply::Redirect(url.clone())).await;
    assert_eq!(fetch(Client::Http, &server).await.expect("fetched"), sha256(&content()));
    let server = FaultServer::start(content(), |_, _| Reply::Redirect("/again".into())).await;
    let error = fetch(Client::Http, &server).await.expect_err("in circles");
    assert!(matches!(error, SourceError::Redirect { .. }), "{error:?}");
    assert_eq!(server.asked(), 6);
}

#[tokio::test]
async fn nobody_there_is_told_by_its_cause() {
    let mut nobody = FaultServer::start(Vec::new(), |_, _| Reply::Whole).await;
    nobody.address = "127.0.0.1:1".parse().expect("an address");
    for client in [Client::Http, Client::S3] {
        let error = fetch(client, &nobody).await.expect_err("nobody");
        assert!(matches!(&error, SourceError::Unreachable { cause, .. } if cause.contains("refused")), "{error:?}");
    }
}
