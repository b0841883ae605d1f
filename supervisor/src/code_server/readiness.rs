//! Waits until a code server has opened its socket and says that it is healthy.
//!
//! The socket's creation is an event (inotify(7)); between bind and the first healthy answer there is none, so that
//! is asked for again at short, growing intervals.

use std::{io, path::Path, time::Duration};

use futures_util::StreamExt;
use inotify::{Inotify, WatchMask};
use tokio::time::sleep;
use tonic_health::pb::health_check_response::ServingStatus;

use super::{
    health::Health,
    socket::{CodeSocket, ConnectError},
};

/// The first interval between two questions: a server that has bound its socket usually listens within a millisecond.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(2);
/// The longest interval: a tenth of what a person notices.
const ASK_AGAIN_MAX: Duration = Duration::from_millis(50);

/// Room for some events at once (inotify(7): one takes 16 bytes and a name of up to 256).
const EVENT_BYTES: usize = 4096;

/// Why waiting ended without a healthy code server; a timeout is the caller's.
#[derive(Debug, thiserror::Error)]
pub enum ReadinessError {
    /// The socket is not the code server's own.
    #[error("trust the code server's socket: {0}; the code server itself must bind $PEXVISOR_SOCKET")]
    Foreign(ConnectError),
    /// The directory cannot be watched.
    #[error("watch the socket's directory; raise fs.inotify.max_user_instances if it is used up")]
    Watch(#[source] io::Error),
}

/// Returns when the code server is healthy. `last_answer` holds what it said so far, for the message of a timeout.
pub async fn healthy(
    directory: &Path,
    socket: &CodeSocket,
    service: &str,
    last_answer: &mut String,
) -> Result<(), ReadinessError> {
    *last_answer = "it has not opened the socket named in $PEXVISOR_SOCKET".into();
    created(directory, socket).await.map_err(ReadinessError::Watch)?;
    let mut pause = ASK_AGAIN_MIN;
    loop {
        match ask(socket, service).await? {
            Ok(()) => return Ok(()),
            Err(answer) => *last_answer = answer,
        }
        sleep(pause).await;
        pause = (pause * 2).min(ASK_AGAIN_MAX);
    }
}

/// One question. An inner error is an answer that is not "healthy" yet.
async fn ask(socket: &CodeSocket, service: &str) -> Result<Result<(), String>, ReadinessError> {
    match socket.connect().await {
        Err(error @ (ConnectError::NotASocket(_) | ConnectError::Foreign { .. })) => {
            return Err(ReadinessError::Foreign(error));
        }
        Err(error) => return Ok(Err(format!("its socket does not answer: {error}"))),
        Ok(_) => {}
    }
    let mut health = match Health::connect(socket.clone()).await {
        Ok(health) => health,
        Err(error) => return Ok(Err(format!("its socket does not speak gRPC: {error}"))),
    };
    Ok(match health.check(service).await {
        Ok(ServingStatus::Serving) => Ok(()),
        Ok(status) => Err(format!("grpc.health.v1 answers {} for {service:?}", status.as_str_name())),
        Err(status) => Err(format!("grpc.health.v1 answers {:?} for {service:?}: {}", status.code(), status.message())),
    })
}

/// Returns when there is something at the socket's path.
async fn created(directory: &Path, socket: &CodeSocket) -> io::Result<()> {
    let inotify = Inotify::init()?;
    inotify.watches().add(directory, WatchMask::CREATE | WatchMask::MOVED_TO)?;
    let mut events = inotify.into_event_stream([0_u8; EVENT_BYTES])?;
    // What an event says is not looked at: it only wakes this for another look.
    while socket.path().symlink_metadata().is_err() {
        events.next().await.transpose()?;
    }
    Ok(())
}
