//! A socket that listens, and stays listening: an error of one accept neither ends the door nor makes it spin.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::Stream;
use tokio::{
    net::{TcpListener, TcpSocket, UnixListener, lookup_host},
    time::{Instant, Sleep},
};

use super::{
    Address, Connection,
    socket_file::{SocketFile, SocketMode},
};

/// Connections that wait in the kernel for their accept. The kernel caps it at net.core.somaxconn (4096 by default).
pub(super) const BACKLOG: u32 = 1024;
/// Pause after an accept that failed for want of descriptors or memory: long enough for some to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that listens. As a stream it yields connections and never ends or fails.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    local: Address,
    pause: Option<Pin<Box<Sleep>>>,
}

/// A door could not be opened. Display completes "failed to open the door at ADDRESS: failed to …".
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The host has no address.
    #[error("resolve {host:?}; give an address of this host or 0.0.0.0")]
    Resolve {
        /// The host as it was given.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The address is taken, foreign or forbidden.
    #[error("listen at {address}; is another process there, or is the address not of this host?")]
    Listen {
        /// The address as it was given.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// The path is taken by something that is no socket.
    #[error("put a socket at {path}: something else is there; move it away or choose another path")]
    NotASocket {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The socket at the path answers.
    #[error("put a socket at {path}: another process listens there; stop it or choose another path")]
    InUse {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The directory or the mode could not be set.
    #[error("prepare {path}; is its directory writable?")]
    Prepare {
        /// The path of the socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "removes the file when it is dropped")] SocketFile),
}

impl Listener {
    /// Listens at `address`. `mode` is for unix sockets; a TCP door is open to whoever reaches it.
    /// A socket that a dead process left behind is replaced.
    pub async fn bind(address: &Address, mode: SocketMode) -> Result<Self, BindError> {
        let socket = match address {
            Address::Tcp { host, port } => Socket::Tcp(bind_tcp(address, host, *port).await?),
            Address::Unix(path) => {
                let (listener, file) = SocketFile::listen(path, mode)?;
                Socket::Unix(listener, file)
            }
        };
        let local = socket.local().unwrap_or_else(|| address.clone());
        Ok(Self { socket, local, pause: None })
    }

    /// Where it listens; with the port that the kernel chose when 0 was asked for.
    pub fn local(&self) -> &Address {
        &self.local
    }

    /// The next connection.
    pub async fn accept(&mut self) -> Connection {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Connection> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.socket.poll_accept(cx)) {
                Ok(connection) => return Poll::Ready(connection),
                // The peer went away before its turn: the next one may be there already.
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(door = %self.local, %error, "failed to accept a connection; trying again soon");
                    self.pause = Some(Box::pin(tokio::time::sleep_until(Instant::now() + ACCEPT_PAUSE)));
                }
            }
        }
    }
}

impl Stream for Listener {
    type Item = io::Result<Connection>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_accept(cx).map(|connection| Some(Ok(connection)))
    }
}

impl Socket {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, remote) = ready!(listener.poll_accept(cx))?;
                Poll::Ready(Connection::tcp(stream, remote))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                Poll::Ready(Connection::unix(stream))
            }
        }
    }

    fn local(&self) -> Option<Address> {
        let Self::Tcp(listener) = self else { return None };
        let local = listener.local_addr().ok()?;
        Some(Address::Tcp { host: local.ip().to_string(), port: local.port() })
    }
}

/// Errors of accept that concern the one connection only (accept(2), "Error handling").
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, NotConnected, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | NotConnected | PermissionDenied)
}

async fn bind_tcp(address: &Address, host: &str, port: u16) -> Result<TcpListener, BindError> {
    let resolve = |source| BindError::Resolve { host: host.to_owned(), source };
    let mut resolved = lookup_host((host, port)).await.map_err(resolve)?;
    let first = resolved.next().ok_or_else(|| resolve(io::ErrorKind::NotFound.into()))?;
    let listen = || {
        let socket = if first.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for connections of the last run to leave TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(first)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| BindError::Listen { address: address.clone(), source })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;
    use crate::door::Peer;

    #[tokio::test]
    async fn a_tcp_door_tells_the_port_that_it_got_and_who_came() {
        let mut door = Listener::bind(&"127.0.0.1:0".parse().unwrap(), SocketMode::Owner).await.unwrap();
        let Address::Tcp { port, .. } = *door.local() else { panic!("a TCP door") };
        let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut connection = door.accept().await.detach().unwrap().attach().unwrap();
        assert_eq!(*connection.peer(), Peer::Tcp(client.local_addr().unwrap()));
        client.write_all(b"hello").await.unwrap();
        let mut got = [0; 5];
        connection.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hello");
    }

    #[tokio::test]
    async fn a_unix_door_tells_the_process_and_user_who_came() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let mut door = Listener::bind(&Address::Unix(path.clone()), SocketMode::Owner).await.unwrap();
        let _client = tokio::net::UnixStream::connect(&path).await.unwrap();
        let Peer::Unix { pid, uid, .. } = *door.accept().await.peer() else { panic!("a unix peer") };
        assert_eq!(pid, std::process::id().cast_signed());
        assert_eq!(uid, nix::unistd::geteuid().as_raw());
    }

    #[tokio::test]
    async fn a_taken_port_and_an_unknown_host_are_refused_with_their_reason() {
        let door = Listener::bind(&"127.0.0.1:0".parse().unwrap(), SocketMode::Owner).await.unwrap();
        let again = Listener::bind(door.local(), SocketMode::Owner).await;
        assert!(matches!(again, Err(BindError::Listen { .. })));
        let unknown = Listener::bind(&"no-such-host.invalid:1".parse().unwrap(), SocketMode::Owner).await;
        assert!(matches!(unknown, Err(BindError::Resolve { .. })));
    }
}
