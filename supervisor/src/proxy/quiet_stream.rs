//! The connection to a code server as a byte stream that wakes its thread only when something has come.
//!
//! Whoever listens for room in a unix socket is told each time that its peer has read something (the kernel's
//! `unix_write_space`). tokio's `UnixStream` always listens for both, so every call would wake the thread once for
//! nothing. This one listens for room only while a write waits for it.

use std::{
    io::{self, ErrorKind, IoSlice, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd};

/// A unix stream socket, bound to the runtime it was made in.
#[derive(Debug)]
pub struct QuietStream {
    /// Listens for what comes.
    socket: AsyncFd<UnixStream>,
    /// Listens for room while a write waits for it: the same socket as another descriptor.
    room: Option<AsyncFd<UnixStream>>,
}

impl QuietStream {
    /// The same connection, listened to in this way.
    pub fn new(stream: tokio::net::UnixStream) -> io::Result<Self> {
        Ok(Self { socket: listen(stream.into_std()?, Interest::READABLE)?, room: None })
    }

    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(room) = &self.room {
                ready!(room.poll_write_ready(cx))?.retain_ready();
                self.room = None;
            }
            match write(self.socket.get_ref()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.room = Some(listen(self.socket.get_ref().try_clone()?, Interest::WRITABLE)?);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

#[expect(deprecated, reason = "its heir is unsafe for types whose descriptor changes; a UnixStream owns one for life")]
fn listen(socket: UnixStream, to: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(socket, to)
}

impl AsyncRead for QuietStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.socket.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            let Ok(read) = guard.try_io(|socket| socket.get_ref().read(space)) else { continue };
            let count = read?;
            // Less than there was space for: the socket is empty, and trying again would only tell so.
            if count > 0 && count < space.len() {
                guard.clear_ready();
            }
            buf.advance(count);
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for QuietStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |mut socket| socket.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |mut socket| socket.write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets keep nothing back: a write that returned has reached the kernel.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// More than a unix socket holds, so that writes have to wait for room.
    const MUCH_BYTES: usize = 4 * 1024 * 1024;

    #[tokio::test]
    async fn everything_arrives_whole_though_the_other_side_is_slow() {
        let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
        let mut ours = QuietStream::new(ours).unwrap();
        let sent: Vec<u8> = (0..MUCH_BYTES).map(|at| (at % 251) as u8).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            ours.write_all(&sent).await.unwrap();
            ours.shutdown().await.unwrap();
            ours
        });
        let mut received = Vec::new();
        while theirs.read_buf(&mut received).await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(received == expected);
        assert!(writing.await.unwrap().room.is_none(), "nobody listens for room once all is written");
    }

    #[tokio::test]
    async fn what_comes_in_pieces_is_read_to_its_end() {
        let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
        let mut ours = QuietStream::new(ours).unwrap();
        let writing = tokio::spawn(async move {
            for piece in [&b"ab"[..], b"c", b"defgh"] {
                theirs.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut received = Vec::new();
        while ours.read_buf(&mut received).await.unwrap() > 0 {}
        assert_eq!(received, b"abcdefgh");
        writing.await.unwrap();
    }
}
