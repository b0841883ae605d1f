//! Who may speak to the control API: not what runs in an environment or installs, not pexvisor itself, and not too many at once.
//!
//! pexvisor itself is refused because a code server may trick it into connecting here on the code server's behalf.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tonic::transport::server::Connected;

use crate::{
    door::{Connection, Peer},
    metrics::Metrics,
};

/// Connections at once: each costs a descriptor and some 50 kB of buffers; a control plane needs a few.
const CONTROL_CONNECTIONS_MAX: usize = 256;

/// Whose a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It runs in an environment, or is an installer, which reads what strangers have packed.
    Boxed,
    /// It runs elsewhere.
    Elsewhere,
    /// There is no such process (any more).
    Gone,
}

/// Tells whose a process is, by its pid.
pub type OriginOf = Arc<dyn Fn(i32) -> Origin + Send + Sync>;

/// Decides about each connection.
pub struct Admission {
    origin_of: OriginOf,
    seats: Arc<Semaphore>,
    refused: Counter,
    full: Counter,
}

/// A connection that was let in. Gives its seat back when it ends.
pub struct Admitted {
    connection: Connection,
    _seat: OwnedSemaphorePermit,
}

impl Admission {
    /// All seats free.
    pub fn new(origin_of: OriginOf, metrics: &Metrics) -> Self {
        Self {
            origin_of,
            seats: Arc::new(Semaphore::new(CONTROL_CONNECTIONS_MAX)),
            refused: metrics.control_peers_refused.clone(),
            full: metrics.limits.counter("control_connections_max"),
        }
    }

    /// The connection, or nothing: then it is closed.
    pub fn admit(&self, connection: Connection) -> Option<Admitted> {
        if let Some(reason) = self.objection(connection.peer()) {
            tracing::warn!(peer = ?connection.peer(), reason, "refused a connection to the control API");
            self.refused.inc();
            return None;
        }
        let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() else {
            tracing::warn!(limit = CONTROL_CONNECTIONS_MAX, "refused a connection to the control API: all are taken");
            self.full.inc();
            return None;
        };
        Some(Admitted { connection, _seat: seat })
    }

    /// Over TCP nothing is known of the peer: that door opens only where its owner accepted that.
    fn objection(&self, peer: &Peer) -> Option<&'static str> {
        let Peer::Unix { pid, .. } = peer else { return None };
        if *pid == std::process::id().cast_signed() {
            return Some("it comes from pexvisor itself");
        }
        // A pid of 0 is outside of our pid namespace, so it is no descendant of ours: those are all visible here.
        if *pid == 0 {
            return None;
        }
        match (self.origin_of)(*pid) {
            Origin::Elsewhere => None,
            Origin::Boxed => Some("it comes from inside an environment or an installer"),
            // A process that connects, hands the descriptor on and exits could be of any environment.
            Origin::Gone => Some("the process that connected has ended, so nobody knows whose it was"),
        }
    }
}

impl Connected for Admitted {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.connection.peer().clone()
    }
}

impl AsyncRead for Admitted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_read(cx, buf)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().connection).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().connection).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objection(pid: i32, origin: Origin) -> Option<&'static str> {
        let admission = Admission::new(Arc::new(move |_| origin), &Metrics::new());
        admission.objection(&Peer::Unix { pid, uid: 0, gid: 0 })
    }

    #[test]
    fn an_operator_is_let_in() {
        assert_eq!(objection(7, Origin::Elsewhere), None);
        assert_eq!(objection(0, Origin::Gone), None, "an operator outside of the container");
    }

    #[test]
    fn code_of_an_environment_is_kept_out_also_when_it_connects_by_a_process_that_ends() {
        assert!(objection(7, Origin::Boxed).is_some());
        assert!(objection(7, Origin::Gone).is_some());
    }

    #[test]
    fn pexvisor_is_not_its_own_client() {
        assert!(objection(std::process::id().cast_signed(), Origin::Elsewhere).is_some());
    }
}
