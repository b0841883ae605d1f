//! A cut-over under load loses no call, and a drain waits for those in flight.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_over_twenty_cut_overs_under_load() {
    let scene = Scene::new().await;
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut callers = Vec::new();
    for _ in 0..4 {
        let client = scene.client().await;
        for _ in 0..4 {
            callers.push(tokio::spawn(call_until(Arc::clone(&stop), Arc::clone(&calls), client.clone())));
        }
    }
    let mut serving = (target(2, &scene.backend), None);
    scene.set(&Route::Serving(Arc::clone(&serving.0)));
    for generation in 3..23 {
        let backend = Backend::start(&scene.dir.path().join(format!("{generation}.sock")));
        let next = target(generation, &backend);
        scene.set(&Route::Serving(Arc::clone(&next)));
        serving.0.close();
        serving.0.drained().await;
        // Drained: now its code server may end.
        serving = (next, Some(backend));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, SeqCst);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(calls.load(SeqCst) > 500, "there was load: {}", calls.load(SeqCst));
}

async fn call_until(stop: Arc<AtomicBool>, calls: Arc<AtomicUsize>, client: SendRequest<Bytes>) {
    while !stop.load(SeqCst) {
        let answer = call(&client, request("Echo"), message(b"x")).await.expect("no call fails");
        assert_eq!(answer.status(), 0, "{}", answer.message());
        calls.fetch_add(1, SeqCst);
    }
}

#[tokio::test]
async fn a_call_in_flight_ends_on_the_generation_that_it_began_on() {
    let scene = Scene::new().await;
    let old = target(1, &scene.backend);
    scene.set(&Route::Serving(Arc::clone(&old)));
    let client = scene.client().await;
    let (response, mut to_server) = start(&client, request("Echo")).await;
    let response = response.await.unwrap();
    let next = Backend::start(&scene.dir.path().join("2.sock"));
    scene.set(&Route::Serving(target(2, &next)));
    old.close();
    assert_eq!(old.in_flight(), 1);
    assert!(tokio::time::timeout(Duration::from_millis(50), old.drained()).await.is_err());
    assert_eq!(call(&client, request("Echo"), message(b"new")).await.unwrap().status(), 0);
    to_server.send_data(message(b"old"), true).unwrap();
    assert_eq!(answer(response).await.unwrap().body, message(b"old"));
    tokio::time::timeout(Duration::from_secs(5), old.drained()).await.expect("the last call has ended");
    assert_eq!(next.connections.load(SeqCst), 1);
}
