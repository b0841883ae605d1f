//! Every call that the proxy answers itself, and how: one table.
//!
//! | refusal | grpc-status | what the caller does |
//! |---|---|---|
//! | `NotGrpc` | HTTP 415 | speak gRPC over HTTP/2 |
//! | `NoRoute`, `BadName` | `INVALID_ARGUMENT` | name an environment |
//! | `NoSuchEnvironment` | `NOT_FOUND` | check the name, or deploy |
//! | `Starting` | `UNAVAILABLE` | try again soon |
//! | `Failed` | `UNAVAILABLE` | read the reason; the environment's owner deploys a revision that works |
//! | `Stopped` | `FAILED_PRECONDITION` | have it started again: trying again does not help |
//! | `Unreachable`, `Foreign` | `UNAVAILABLE` | try again; if it stays, read the environment's log |
//! | `Died` | `UNAVAILABLE` | try again if the call may be repeated |
//! | `Unsettled` | `UNAVAILABLE` | try again |
//! | `DeadlineExceeded` | `DEADLINE_EXCEEDED` | allow more time |
//! | `TooMuchWaiting` | `RESOURCE_EXHAUSTED` | read answers as they come |
//! | `NoSuchService`, `BadHealthRequest`, `NoSuchMethod` | `NOT_FOUND`, `INVALID_ARGUMENT`, `UNIMPLEMENTED` | health checks only |
//!
//! A refusal comes as a response of headers alone; once the code server's headers have passed, as trailers.

use std::{borrow::Cow, fmt::Write as _};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use tonic::Code;

use super::limits::MESSAGE_BYTES_MAX;
use crate::{code_server::ConnectError, words::BadName};

/// Why the proxy answers a call itself.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a POST with a gRPC content type.
    #[error("this port speaks gRPC only; use a gRPC client")]
    NotGrpc,
    /// Nothing in the call names an environment.
    #[error(
        "the call names no environment; send the metadata x-pexvisor-environment, or use a host whose first label is its \
         name, or the environment's own socket"
    )]
    NoRoute,
    /// The metadata names none that can be.
    #[error("x-pexvisor-environment is no environment name: {0}")]
    BadName(#[from] BadName),
    /// The name leads nowhere.
    #[error("there is no environment {0:?}; `pexctl list` shows those there are, a deploy makes a new one")]
    NoSuchEnvironment(String),
    /// A generation is on its way.
    #[error("environment {0:?} is starting; try again soon")]
    Starting(String),
    /// The last generation failed.
    #[error("environment {name:?} failed: {message}")]
    Failed {
        /// The environment.
        name: String,
        /// What the route says.
        message: String,
    },
    /// Stopped on request.
    #[error("environment {0:?} is stopped; deploy or restart it")]
    Stopped(String),
    /// Its socket does not take connections.
    #[error("failed to reach the code server of environment {name:?}: failed to {why}")]
    Unreachable {
        /// The environment.
        name: String,
        /// What went wrong.
        why: String,
    },
    /// Its socket is not its own.
    #[error("the socket of environment {name:?} is not trusted: failed to {why}")]
    Foreign {
        /// The environment.
        name: String,
        /// What is there instead.
        why: String,
    },
    /// The connection broke while the call was in flight.
    #[error("the code server of environment {0:?} ended during the call; `pexctl logs` shows its last words")]
    Died(String),
    /// Cut-overs came faster than lookups.
    #[error("environment {0:?} is being replaced again and again; try again soon")]
    Unsettled(String),
    /// The caller's own deadline has passed.
    #[error("the deadline of the call has passed")]
    DeadlineExceeded,
    /// Too many bytes wait for clients or code servers that do not read.
    #[error("too much data waits to be read; read messages as they come, or open fewer calls")]
    TooMuchWaiting,
    /// A health check for a service that the supervisor does not know.
    #[error("the supervisor knows no service {0:?}; ask for \"\", or name an environment to ask its code server")]
    NoSuchService(String),
    /// A health check that cannot be read.
    #[error("the request is no grpc.health.v1.HealthCheckRequest")]
    BadHealthRequest,
    /// A health method that there is not.
    #[error("grpc.health.v1.Health has Check and Watch here, no {0:?}")]
    NoSuchMethod(String),
}

impl Refusal {
    /// No connection to the code server of `name`.
    pub fn unreachable(name: String, error: &ConnectError) -> Self {
        let why = match error {
            ConnectError::Io { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        match error {
            ConnectError::NotASocket(_) | ConnectError::Foreign { .. } => Self::Foreign { name, why },
            ConnectError::NotThere(_) | ConnectError::Io { .. } => Self::Unreachable { name, why },
        }
    }

    /// The status that the caller gets.
    pub fn code(&self) -> Code {
        match self {
            Self::NoRoute | Self::BadName(_) | Self::BadHealthRequest => Code::InvalidArgument,
            Self::NoSuchEnvironment(_) | Self::NoSuchService(_) => Code::NotFound,
            Self::Stopped(_) => Code::FailedPrecondition,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::TooMuchWaiting => Code::ResourceExhausted,
            Self::NotGrpc | Self::NoSuchMethod(_) => Code::Unimplemented,
            Self::Starting(_)
            | Self::Failed { .. }
            | Self::Unreachable { .. }
            | Self::Foreign { .. }
            | Self::Died(_)
            | Self::Unsettled(_) => Code::Unavailable,
        }
    }

    /// A fixed word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotGrpc => "not_grpc",
            Self::NoRoute => "no_route",
            Self::BadName(_) => "bad_name",
            Self::NoSuchEnvironment(_) => "no_such_environment",
            Self::Starting(_) => "starting",
            Self::Failed { .. } => "failed",
            Self::Stopped(_) => "stopped",
            Self::Unreachable { .. } => "unreachable",
            Self::Foreign { .. } => "foreign",
            Self::Died(_) => "died",
            Self::Unsettled(_) => "unsettled",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::TooMuchWaiting => "too_much_waiting",
            Self::NoSuchService(_) => "no_such_service",
            Self::BadHealthRequest => "bad_health_request",
            Self::NoSuchMethod(_) => "no_such_method",
        }
    }

    /// Answers with this refusal alone. A caller that is gone needs no answer.
    pub fn answer(&self, respond: &mut SendResponse<Bytes>) {
        let mut response = Response::new(());
        if let Self::NotGrpc = self {
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        } else {
            *response.headers_mut() = self.trailers();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        }
        let _ = respond.send_response(response, true);
    }

    /// The end of a call of which the headers have passed.
    pub fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(3);
        trailers.insert("grpc-status", HeaderValue::from(i32::from(self.code())));
        let message = self.to_string();
        let message = percent_encoded(&message);
        trailers.insert("grpc-message", HeaderValue::from_str(&message).expect("percent-encoded text is ASCII"));
        trailers
    }
}

/// As gRPC's HTTP/2 protocol asks for `grpc-message`: printable ASCII but for `%`, in at most [`MESSAGE_BYTES_MAX`].
fn percent_encoded(message: &str) -> Cow<'_, str> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'%';
    if message.len() <= MESSAGE_BYTES_MAX && message.as_bytes().iter().all(is_plain) {
        return Cow::Borrowed(message);
    }
    let mut encoded = String::new();
    for character in message.chars() {
        let before = encoded.len();
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            if is_plain(&byte) {
                encoded.push(byte.into());
            } else {
                write!(encoded, "%{byte:02X}").expect("a String takes every write");
            }
        }
        if encoded.len() > MESSAGE_BYTES_MAX {
            encoded.truncate(before);
            break;
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_text_fits_into_a_header() {
        let failed = Refusal::Failed { name: "etl".to_owned(), message: "Traceback:\n  100% ä 😀".to_owned() };
        let message = failed.trailers().remove("grpc-message").unwrap();
        assert_eq!(message, "environment \"etl\" failed: Traceback:%0A  100%25 %C3%A4 %F0%9F%98%80");
        let long = percent_encoded(&"ä".repeat(9_000)).into_owned();
        assert!(long.len() <= MESSAGE_BYTES_MAX && long.ends_with("%A4"), "no character is cut in two");
    }
}
