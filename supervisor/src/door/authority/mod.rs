//! Lets real gRPC clients in over unix sockets: mends the `:authority` that they send before HTTP/2 judges it.
//!
//! Over a unix socket grpcurl sends the socket's path as `:authority`, Python's gRPC the path percent-encoded. Neither
//! is an authority (RFC 3986), h2 refuses the call as malformed, and no option turns that off. So a [`Mended`] stream
//! walks the frames that come in and replaces such a value by one of the same length; all else passes byte for byte.
//!
//! Because the length stays, HPACK's dynamic tables on both sides stay in step (an entry's size is that of its decoded
//! name and value, RFC 7541 section 4.1). So nothing is encoded again, later references to the value just work, and no
//! table need be kept here. What cannot be read passes as it is: h2 is the judge of it.

mod block;
mod frame;
mod walker;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use walker::Walker;

/// A stream of which what is read has its `:authority` mended. What is written passes as it is.
#[derive(Debug)]
pub struct Mended<S> {
    inner: S,
    walker: Walker,
    /// Mended, not read yet: at most what one read brought and one header block.
    ready: BytesMut,
}

impl<S> Mended<S> {
    /// A connection at its beginning: before its HTTP/2 preface.
    pub fn new(inner: S) -> Self {
        Self { inner, walker: Walker::default(), ready: BytesMut::new() }
    }

    /// The stream itself. What was read and not handed on is lost, so only before the first read.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Mended<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.ready.is_empty() {
                let count = this.ready.len().min(buf.remaining());
                buf.put_slice(&this.ready[..count]);
                this.ready.advance(count);
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let read = buf.filled().len() - before;
            // What needs no change, nearly all, stays where it was read to.
            let passed = this.walker.walk(&buf.filled()[before..], &mut this.ready);
            buf.set_filled(before + passed);
            if passed > 0 || read == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Mended<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
