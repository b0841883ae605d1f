//! The life of one call: from its headers to its last byte, in both directions, as it is.
//!
//! Cancellation passes as the same reset to the other side. What no side can say is said here: a deadline that has
//! passed, a code server that is gone.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
    server::SendResponse,
};
use http::{HeaderValue, Request, Response, request::Parts, uri::Authority};

use super::{
    client::{Answerer, Client},
    deadline::Deadline,
    health,
    pump::{Broken, Pump},
    refuse::Refusal,
};
use crate::{route::Guard, words::EnvironmentName};

/// Serves one call to its end.
pub async fn serve(client: Arc<Client>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, body) = request.into_parts();
    match client.answerer(&head) {
        Ok(Answerer::CodeServer(name)) => forward(&client, &name, head, body, &mut respond).await,
        Ok(Answerer::Health) => health::answer(&client, &head.uri, body, &mut respond).await,
        Err(refusal) => client.refuse(&refusal, &mut respond),
    }
}

/// A call on its way to a code server.
struct Passage<'a> {
    name: &'a EnvironmentName,
    deadline: Deadline,
    request: Pump,
    request_is_sent: bool,
    /// Keeps the generation from ending under the call.
    _guard: Guard,
}

/// What happens to a call.
enum Event<T> {
    /// The step waited for is done.
    Done(T),
    /// The request's body has ended, in this way.
    Request(Result<(), Broken>),
    /// The client has reset the call.
    ClientReset(Result<Reason, h2::Error>),
    /// The deadline has passed.
    Deadline,
}

/// How a call ends before its regular end.
enum Ending {
    /// The client gave it up.
    ByClient(Reason),
    /// The code server reset it.
    ByServer(Reason),
    /// The proxy ends it.
    Refused(Refusal),
}

async fn forward(
    client: &Client,
    name: &EnvironmentName,
    head: Parts,
    body: RecvStream,
    respond: &mut SendResponse<Bytes>,
) {
    let mut deadline = Deadline::of(&head.headers);
    let opened = tokio::select! {
        biased;
        opened = open(client, name, head, body.is_end_stream()) => opened,
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
        () = deadline.passed() => Err(Refusal::DeadlineExceeded),
    };
    let (response, to_server, guard) = match opened {
        Ok(opened) => opened,
        Err(refusal) => return client.refuse(&refusal, respond),
    };
    let request_is_sent = body.is_end_stream();
    let request = Pump::new(body, to_server, client.shared.waiting.clone());
    let mut passage = Passage { name, deadline, request, request_is_sent, _guard: guard };
    match passage.head(response, respond).await {
        Ok(response) => passage.body(client, response, respond).await,
        Err(Ending::Refused(refusal)) => {
            passage.cancel(Reason::CANCEL);
            client.refuse(&refusal, respond);
        }
        Err(Ending::ByServer(reason)) => respond.send_reset(reason),
        Err(Ending::ByClient(reason)) => passage.cancel(reason),
    }
}

/// Sends the head of the request to the generation that serves now.
async fn open(
    client: &Client,
    name: &EnvironmentName,
    head: Parts,
    is_whole: bool,
) -> Result<(ResponseFuture, SendStream<Bytes>, Guard), Refusal> {
    let (mut sender, guard) = sender(client, name).await?;
    let mut request = Request::from_parts(head, ());
    add_missing_authority(&mut request);
    let (response, to_server) =
        sender.send_request(request, is_whole).map_err(|_| Refusal::Died(name.as_str().to_owned()))?;
    Ok((response, to_server, guard))
}

async fn sender(client: &Client, name: &EnvironmentName) -> Result<(SendRequest<Bytes>, Guard), Refusal> {
    let unreachable = |error| Refusal::unreachable(name.as_str().to_owned(), &error);
    let (target, guard) = client.enter(name)?;
    let error = match client.upstreams.sender(name, &target).await {
        Ok(sender) => return Ok((sender, guard)),
        Err(error) => error,
    };
    // The generation may have ended between the lookup and the connect: then the route tells more than the error.
    drop(guard);
    let (next, guard) = client.enter(name)?;
    if Arc::ptr_eq(&next, &target) {
        return Err(unreachable(error));
    }
    let sender = client.upstreams.sender(name, &next).await.map_err(unreachable)?;
    Ok((sender, guard))
}

/// HTTP/2 lets a client leave `:authority` out and send `host` instead; h2's client does not.
fn add_missing_authority(request: &mut Request<()>) {
    if request.uri().authority().is_some() {
        return;
    }
    let host = request.headers().get(http::header::HOST).map(HeaderValue::as_bytes);
    let authority = host.and_then(|host| Authority::try_from(host).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.authority = Some(authority.unwrap_or_else(|| Authority::from_static("localhost")));
    parts.scheme = parts.scheme.or(Some(http::uri::Scheme::HTTP));
    parts.path_and_query = parts.path_and_query.or(Some(http::uri::PathAndQuery::from_static("/")));
    *request.uri_mut() = http::Uri::from_parts(parts).expect("all three parts are there");
}

impl Passage<'_> {
    /// Waits for the head of the answer, while the request's body goes.
    async fn head(
        &mut self,
        mut response: ResponseFuture,
        respond: &mut SendResponse<Bytes>,
    ) -> Result<Response<RecvStream>, Ending> {
        if let Poll::Ready(ended) = self.request.send_ahead() {
            self.react::<()>(Event::Request(ended))?;
        }
        loop {
            let event = tokio::select! {
                biased;
                answered = &mut response => Event::Done(answered),
                reset = poll_fn(|cx| respond.poll_reset(cx)) => Event::ClientReset(reset),
                ended = self.request.run(), if !self.request_is_sent => Event::Request(ended),
                () = self.deadline.passed() => Event::Deadline,
            };
            if let Some(answered) = self.react(event)? {
                return answered.map_err(|error| self.server_ended(&error));
            }
        }
    }

    /// Passes the answer on, while the rest of the request's body goes.
    async fn body(mut self, client: &Client, answer: Response<RecvStream>, respond: &mut SendResponse<Bytes>) {
        let (head, body) = answer.into_parts();
        let is_whole = body.is_end_stream();
        let to_client = respond.send_response(Response::from_parts(head, ()), is_whole);
        let Ok(to_client) = to_client else { return self.cancel(Reason::CANCEL) };
        if is_whole {
            return;
        }
        let mut reply = Pump::new(body, to_client, client.shared.waiting.clone());
        match self.carry(&mut reply).await {
            Ok(()) => {}
            Err(Ending::ByServer(reason)) => reply.to().send_reset(reason),
            Err(Ending::ByClient(reason)) => self.cancel(reason),
            Err(Ending::Refused(refusal)) => {
                client.shared.calls.refused(refusal.word());
                self.cancel(Reason::CANCEL);
                // Fails only for a client that is gone.
                let _ = reply.to().send_trailers(refusal.trailers());
            }
        }
    }

    async fn carry(&mut self, reply: &mut Pump) -> Result<(), Ending> {
        loop {
            let event = tokio::select! {
                biased;
                ended = reply.run() => Event::Done(ended),
                ended = self.request.run(), if !self.request_is_sent => Event::Request(ended),
                () = self.deadline.passed() => Event::Deadline,
            };
            match self.react(event)? {
                None => {}
                Some(Ok(())) => return Ok(()),
                Some(Err(Broken::From(error))) => return Err(self.server_ended(&error)),
                Some(Err(Broken::To(error))) => return Err(Ending::ByClient(reason_of(&error))),
                Some(Err(Broken::TooMuchWaiting)) => return Err(Ending::Refused(Refusal::TooMuchWaiting)),
            }
        }
    }

    /// What an event means for the call: its step is done, nothing yet, or its end.
    fn react<T>(&mut self, event: Event<T>) -> Result<Option<T>, Ending> {
        match event {
            Event::Done(done) => return Ok(Some(done)),
            // The code server may end a call before it has read all; the answer tells how.
            Event::Request(Ok(()) | Err(Broken::To(_))) => self.request_is_sent = true,
            Event::Request(Err(Broken::From(error))) => return Err(Ending::ByClient(reason_of(&error))),
            Event::Request(Err(Broken::TooMuchWaiting)) => return Err(Ending::Refused(Refusal::TooMuchWaiting)),
            Event::ClientReset(reason) => return Err(Ending::ByClient(reason.unwrap_or(Reason::CANCEL))),
            Event::Deadline => return Err(Ending::Refused(Refusal::DeadlineExceeded)),
        }
        Ok(None)
    }

    fn server_ended(&self, error: &h2::Error) -> Ending {
        match error.reason() {
            Some(reason) if error.is_reset() && error.is_remote() => Ending::ByServer(reason),
            // Its GOAWAY says that it has not looked at this call: a client may send it again without asking.
            Some(_) if error.is_go_away() && error.is_remote() => Ending::ByServer(Reason::REFUSED_STREAM),
            _ => Ending::Refused(Refusal::Died(self.name.as_str().to_owned())),
        }
    }

    /// Gives the call up towards the code server.
    fn cancel(&mut self, reason: Reason) {
        self.request.to().send_reset(reason);
    }
}

/// With what reason the other side is reset when one side has ended with `error`.
fn reason_of(error: &h2::Error) -> Reason {
    match error.reason() {
        Some(reason) if error.is_reset() => reason,
        _ => Reason::CANCEL,
    }
}
