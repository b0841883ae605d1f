//! Each refusal has its own status and message.

use super::*;

async fn refused(client: &SendRequest<Bytes>, request: Request<()>) -> (i32, String) {
    let answer = call(client, request, message(b"x")).await.unwrap();
    assert_eq!(
        (answer.head.status.as_u16(), &answer.head.headers["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    assert!(answer.trailers.is_empty(), "it comes as headers alone");
    (answer.status(), answer.message().to_owned())
}

fn unrouted(method: &str) -> Request<()> {
    let mut request = request(method);
    request.headers_mut().remove("x-pexvisor-environment");
    request
}

#[tokio::test]
async fn every_state_of_a_route_and_every_wrong_name_is_told_apart() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let (status, message) = refused(&client, unrouted("Echo")).await;
    assert!(status == 3 && message.contains("names no environment"), "{message}");
    let (status, message) = refused(&client, request_to("No/Such", "Echo")).await;
    assert!(status == 3 && message.contains("is no environment name"), "{message}");
    let (status, message) = refused(&client, request_to("other", "Echo")).await;
    assert!(status == 5 && message.contains("no environment \"other\""), "{message}");
    for (route, expected, words) in [
        (Route::Starting, 14, "is starting"),
        (
            Route::Failed { message: "ModuleNotFoundError: no\nmodule".to_owned() },
            14,
            "ModuleNotFoundError: no%0Amodule",
        ),
        (Route::Stopped, 9, "is stopped"),
    ] {
        scene.set(&route);
        let (status, message) = refused(&client, request("Echo")).await;
        assert!(status == expected && message.contains(words), "{status} {message}");
    }
}

#[tokio::test]
async fn a_socket_that_is_missing_a_link_or_foreign_gets_no_byte() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let at = |name: &str, is_owner: bool| {
        let socket = CodeSocket::new(scene.dir.path().join(name), Arc::new(move |_| is_owner));
        Route::Serving(Arc::new(Target::new(2, socket)))
    };
    std::os::unix::fs::symlink(scene.backend.path(), scene.dir.path().join("link")).unwrap();
    for (route, words) in [
        (at("nowhere", true), "failed to find the code server"),
        (at("link", true), "is not trusted"),
        (at("1.sock", false), "is not of this generation"),
    ] {
        scene.set(&route);
        let (status, message) = refused(&client, request("Echo")).await;
        assert!(status == 14 && message.contains(words), "{message}");
    }
    scene.set(&Route::Serving(target(3, &scene.backend)));
    assert_eq!(call(&client, request("Echo"), message(b"")).await.unwrap().status(), 0, "and all is well again");
}

#[tokio::test]
async fn what_is_no_grpc_is_an_unsupported_media_type() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    for (method, content_type) in
        [("GET", "application/grpc"), ("POST", "application/json"), ("POST", "application/grpc-web")]
    {
        let mut wrong = request("Echo");
        *wrong.method_mut() = method.parse().unwrap();
        wrong.headers_mut().insert("content-type", content_type.parse().unwrap());
        let answer = call(&client, wrong, Bytes::new()).await.unwrap();
        assert_eq!(answer.head.status, 415, "{method} {content_type}");
    }
    let mut suffixed = request("Echo");
    suffixed.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
    assert_eq!(call(&client, suffixed, message(b"x")).await.unwrap().status(), 0);
}

#[tokio::test]
async fn a_refused_call_leaves_the_connection_as_it_was() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    for _ in 0..500 {
        refused(&client, request_to("other", "Echo")).await;
    }
    assert_eq!(call(&client, request("Echo"), message(b"x")).await.unwrap().status(), 0);
}
