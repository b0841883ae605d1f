//! Carries the body of a call in one direction: data, trailers, flow control; decodes nothing.
//!
//! What comes is taken out of h2 at once, and its sender's window opens again only when it has been passed on. So a
//! receiver that does not read stops its own sender after one window, and unread frames never pile up inside h2, which
//! would end the whole connection for it.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};

use super::limits::WAITING_BYTES_MAX;

/// One direction of one call.
pub struct Pump {
    from: RecvStream,
    to: SendStream<Bytes>,
    waiting: Waiting,
    from_has_ended: bool,
}

/// Why a body ended before its end.
#[derive(Debug)]
pub enum Broken {
    /// The side it comes from.
    From(h2::Error),
    /// The side it goes to.
    To(h2::Error),
    /// All that waits is at its bound.
    TooMuchWaiting,
}

/// Bytes of all calls that wait for their receivers, counted together.
#[derive(Clone, Debug, Default)]
pub struct WaitingTotal(Arc<AtomicUsize>);

/// Bytes of one direction that wait for their receiver; at most one window of the sender.
struct Waiting {
    /// What goes next, as it came.
    front: Bytes,
    /// What came behind it, copied together: frames of a few bytes would each hold on to a whole read buffer.
    back: BytesMut,
    total: WaitingTotal,
}

impl Pump {
    /// Carries what comes from `from` to `to`.
    pub fn new(from: RecvStream, to: SendStream<Bytes>, total: WaitingTotal) -> Self {
        let waiting = Waiting { front: Bytes::new(), back: BytesMut::new(), total };
        Self { from, to, waiting, from_has_ended: false }
    }

    /// Runs to the end of the body. May be dropped and called again.
    pub async fn run(&mut self) -> Result<(), Broken> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The side it goes to, to end it in another way.
    pub fn to(&mut self) -> &mut SendStream<Bytes> {
        &mut self.to
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if let Poll::Ready(reset) = self.to.poll_reset(cx) {
            return Poll::Ready(Err(Broken::To(reset.map_or_else(|error| error, h2::Error::from))));
        }
        loop {
            if self.pass_on(cx)? == Passed::End {
                return Poll::Ready(Ok(()));
            }
            if self.from_has_ended {
                if !self.waiting.is_empty() {
                    return Poll::Pending;
                }
                return self.poll_end(cx);
            }
            match self.from.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => self.waiting.push(data)?,
                Poll::Ready(Some(Err(error))) if error.reason() != Some(Reason::NO_ERROR) => {
                    return Poll::Ready(Err(Broken::From(error)));
                }
                // A reset with NO_ERROR says that all has been said (RFC 9113 section 8.1).
                Poll::Ready(_) => self.from_has_ended = true,
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends what waits, as far as the receiver has room.
    fn pass_on(&mut self, cx: &mut Context<'_>) -> Result<Passed, Broken> {
        while let Some(wanted) = self.waiting.next_bytes() {
            self.to.reserve_capacity(wanted);
            let mut room = self.to.capacity();
            while room == 0 {
                match self.to.poll_capacity(cx) {
                    Poll::Pending => return Ok(Passed::Some),
                    Poll::Ready(Some(granted)) => room = granted.map_err(Broken::To)?,
                    Poll::Ready(None) => return Err(Broken::To(Reason::CANCEL.into())),
                }
            }
            let data = self.waiting.take(room);
            let count = data.len();
            let is_last = self.waiting.is_empty() && self.from.is_end_stream();
            self.to.send_data(data, is_last).map_err(Broken::To)?;
            // Fails only when the stream is gone, which the next poll of it tells.
            let _ = self.from.flow_control().release_capacity(count);
            if is_last {
                return Ok(Passed::End);
            }
        }
        Ok(Passed::Some)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let sent = match self.from.poll_trailers(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(Some(trailers))) => self.to.send_trailers(trailers),
            Poll::Ready(Ok(None)) => self.to.send_data(Bytes::new(), true),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::From(error))),
        };
        Poll::Ready(sent.map_err(Broken::To))
    }
}

/// What became of what waited.
#[derive(PartialEq, Eq)]
enum Passed {
    /// All or some of it has gone.
    Some,
    /// The last of the body has gone.
    End,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.front.is_empty() && self.back.is_empty()
    }

    fn push(&mut self, data: Bytes) -> Result<(), Broken> {
        self.total.add(data.len())?;
        if self.is_empty() {
            self.front = data;
        } else {
            self.back.extend_from_slice(&data);
        }
        Ok(())
    }

    /// How many bytes can go in one piece; `None` when nothing waits.
    fn next_bytes(&mut self) -> Option<usize> {
        if self.front.is_empty() {
            self.front = self.back.split().freeze();
        }
        (!self.front.is_empty()).then_some(self.front.len())
    }

    fn take(&mut self, room: usize) -> Bytes {
        let data = self.front.split_to(room.min(self.front.len()));
        self.total.subtract(data.len());
        data
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.total.subtract(self.front.len() + self.back.len());
    }
}

impl WaitingTotal {
    fn add(&self, bytes: usize) -> Result<(), Broken> {
        if self.0.fetch_add(bytes, Relaxed) + bytes > WAITING_BYTES_MAX {
            self.subtract(bytes);
            return Err(Broken::TooMuchWaiting);
        }
        Ok(())
    }

    fn subtract(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }
}
