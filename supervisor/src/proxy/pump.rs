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
use futures_util::FutureExt as _;
use h2::{Reason, RecvStream, SendStream};

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
#[derive(Clone, Debug)]
pub struct WaitingTotal {
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

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

    /// Sends a first frame that has come already, without asking for room: a call that was just opened gets none before
    /// its head is on the wire, and would go in two halves for it. Ready when that was the whole body.
    pub fn send_ahead(&mut self) -> Poll<Result<(), Broken>> {
        // An end or an error stays where it is, for `run`.
        let Some(Some(Ok(data))) = self.from.data().now_or_never() else { return Poll::Pending };
        match self.send(data) {
            Ok(Passed::Some) => Poll::Pending,
            Ok(Passed::End) => Poll::Ready(Ok(())),
            Err(broken) => Poll::Ready(Err(broken)),
        }
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
            if self.send(data)? == Passed::End {
                return Ok(Passed::End);
            }
        }
        Ok(Passed::Some)
    }

    fn send(&mut self, data: Bytes) -> Result<Passed, Broken> {
        let count = data.len();
        let is_last = self.waiting.is_empty() && self.from.is_end_stream();
        self.to.send_data(data, is_last).map_err(Broken::To)?;
        // Fails only when the stream is gone, which the next poll of it tells.
        let _ = self.from.flow_control().release_capacity(count);
        Ok(if is_last { Passed::End } else { Passed::Some })
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
    /// Nothing waits; no more than `bytes_max` ever will.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes: Arc::default(), bytes_max }
    }

    fn add(&self, bytes: usize) -> Result<(), Broken> {
        if self.bytes.fetch_add(bytes, Relaxed) + bytes > self.bytes_max {
            self.subtract(bytes);
            return Err(Broken::TooMuchWaiting);
        }
        Ok(())
    }

    fn subtract(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(total: &WaitingTotal) -> Waiting {
        Waiting { front: Bytes::new(), back: BytesMut::new(), total: total.clone() }
    }

    #[test]
    fn what_waits_comes_out_in_order_whatever_the_pieces() {
        let mut waiting = waiting(&WaitingTotal::new(1_000));
        for piece in ["a", "bc", "", "def", "g"] {
            waiting.push(Bytes::from_static(piece.as_bytes())).unwrap();
        }
        let mut came = Vec::new();
        while waiting.next_bytes().is_some() {
            came.extend_from_slice(&waiting.take(2));
        }
        assert_eq!(came, b"abcdefg");
    }

    #[test]
    fn the_bound_holds_for_all_calls_together_and_frees_what_a_call_leaves() {
        let total = WaitingTotal::new(10);
        let (mut first, mut second) = (waiting(&total), waiting(&total));
        first.push(Bytes::from_static(b"123456")).unwrap();
        first.push(Bytes::from_static(b"78")).unwrap();
        assert!(matches!(second.push(Bytes::from_static(b"abc")), Err(Broken::TooMuchWaiting)));
        second.push(Bytes::from_static(b"ab")).unwrap();
        drop(first);
        second.push(Bytes::from_static(b"12345678")).unwrap();
        second.next_bytes().unwrap();
        second.take(2);
        drop(second);
        assert_eq!(total.bytes.load(Relaxed), 0, "nothing is counted for ever");
    }
}
