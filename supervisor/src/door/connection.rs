//! One connection that came in at a door, over TCP or a unix socket alike, and who is at its other end.
//!
//! It does not judge who may come in: that is the business of what is served behind the door.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tonic::transport::server::Connected;

use super::authority::Mended;

/// Silence after which the kernel asks a TCP peer whether it is still there. Load balancers cut connections off after some
/// 350 s without a packet, so this keeps theirs open too.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Between the kernel's questions, of which nine without an answer end the connection (tcp(7)).
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A connection that came in; bound to the runtime in which it was accepted.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: Peer,
}

/// A connection on its way from one runtime to another.
#[derive(Debug)]
pub struct Detached {
    stream: DetachedStream,
    peer: Peer,
}

/// Who is at the other end, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer: nothing but its address is known.
    Tcp(SocketAddr),
    /// A process of this host. The pid is 0 when it lives in a pid namespace that this one cannot see.
    Unix {
        /// Its process when it connected.
        pid: i32,
        /// Its effective user.
        uid: u32,
        /// Its effective group.
        gid: u32,
    },
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(Box<Mended<UnixStream>>),
}

#[derive(Debug)]
enum DetachedStream {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Connection {
    /// Small messages are not held back for larger packets (TCP_NODELAY): a call waits for its answer. A peer that
    /// vanished without a word is noticed by the kernel, or its connection would stay for ever.
    pub(super) fn tcp(stream: TcpStream, remote: SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        set_socket_keepalive(&stream, true)?;
        set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
        set_tcp_keepintvl(&stream, KEEPALIVE_INTERVAL)?;
        Ok(Self { stream: Stream::Tcp(stream), peer: Peer::Tcp(remote) })
    }

    pub(super) fn unix(stream: UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let pid = credentials.pid().unwrap_or(0);
        let peer = Peer::Unix { pid, uid: credentials.uid(), gid: credentials.gid() };
        Ok(Self { stream: Stream::Unix(Box::new(Mended::new(stream))), peer })
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Takes the connection out of this runtime, before anything was read from it.
    pub fn detach(self) -> io::Result<Detached> {
        let stream = match self.stream {
            Stream::Tcp(stream) => DetachedStream::Tcp(stream.into_std()?),
            Stream::Unix(stream) => DetachedStream::Unix(stream.into_inner().into_std()?),
        };
        Ok(Detached { stream, peer: self.peer })
    }
}

impl Detached {
    /// Takes the connection into the runtime of the caller.
    pub fn attach(self) -> io::Result<Connection> {
        let stream = match self.stream {
            DetachedStream::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            DetachedStream::Unix(stream) => Stream::Unix(Box::new(Mended::new(UnixStream::from_std(stream)?))),
        };
        Ok(Connection { stream, peer: self.peer })
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Unix(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Unix(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets keep nothing back: a write that returned has reached the kernel.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
