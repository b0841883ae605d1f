//! Walks the frames of a client's byte stream, however it is cut into reads, and sends header blocks to be mended.
//!
//! It judges nothing: what is not HTTP/2, too large or out of order passes as it is, to be refused by h2.

use bytes::BytesMut;

use super::{
    block,
    frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind},
};
use crate::door::HEADER_LIST_BYTES_MAX;

/// What every HTTP/2 client says first (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frames held until their header block is complete. A block that h2 would take fits; a larger one passes unmended.
const HELD_BYTES_MAX: usize = HEADER_LIST_BYTES_MAX as usize;

/// Where the walk is.
#[derive(Debug, Default)]
pub struct Walker {
    place: Place,
    /// Frames of a header block that is not complete, or a part of a frame header; at most [`HELD_BYTES_MAX`].
    held: BytesMut,
    /// Where in `held` the last frame begins.
    last_frame_at: usize,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the preface, of which this many bytes have been seen.
    Preface(usize),
    /// Between two frames, or in frames that are held.
    Frames,
    /// In a frame that passes, of which this many bytes are to come; never 0.
    Passing(usize),
    /// This is not HTTP/2.
    Foreign,
}

impl Default for Place {
    fn default() -> Self {
        Self::Preface(0)
    }
}

impl Walker {
    /// Walks `input`. Returns how many bytes at its start pass as they are; what follows them is held back or, mended,
    /// appended to `out`.
    pub fn walk(&mut self, input: &[u8], out: &mut BytesMut) -> usize {
        let mut passed = 0;
        while let Some(count) = self.pass(&input[passed..]) {
            passed += count;
        }
        let mut rest = &input[passed..];
        while !rest.is_empty() {
            let count = match self.pass(rest) {
                Some(count) => {
                    out.extend_from_slice(&rest[..count]);
                    count
                }
                None => self.hold(rest, out),
            };
            rest = &rest[count..];
        }
        passed
    }

    /// How many bytes at the start of `input` pass as they are; `None` when there are none.
    fn pass(&mut self, input: &[u8]) -> Option<usize> {
        if input.is_empty() {
            return None;
        }
        match self.place {
            Place::Foreign => Some(input.len()),
            Place::Preface(seen) => Some(self.pass_preface(seen, input)),
            Place::Passing(left) => Some(self.pass_frame(left, input)),
            Place::Frames if self.held.is_empty() => {
                let header = FrameHeader::read(input)?;
                let frame = input.get(..header.frame_bytes());
                let passes = match header.kind {
                    FrameKind::Headers => frame.is_some_and(|frame| header.ends_block() && mended(frame).is_none()),
                    FrameKind::Continuation | FrameKind::Other => true,
                };
                passes.then(|| self.pass_frame(header.frame_bytes(), input))
            }
            Place::Frames => None,
        }
    }

    fn pass_preface(&mut self, seen: usize, input: &[u8]) -> usize {
        let count = input.len().min(PREFACE.len() - seen);
        self.place = match seen + count {
            upto if input[..count] != PREFACE[seen..upto] => Place::Foreign,
            upto if upto == PREFACE.len() => Place::Frames,
            upto => Place::Preface(upto),
        };
        count
    }

    fn pass_frame(&mut self, left: usize, input: &[u8]) -> usize {
        let count = input.len().min(left);
        self.place = if count == left { Place::Frames } else { Place::Passing(left - count) };
        count
    }

    /// Holds bytes from the start of `input` back, up to the end of a frame or frame header; returns how many.
    fn hold(&mut self, input: &[u8], out: &mut BytesMut) -> usize {
        let in_frame = self.held.len() - self.last_frame_at;
        let until = match FrameHeader::read(&self.held[self.last_frame_at..]) {
            Some(header) => header.frame_bytes(),
            None => FRAME_HEADER_BYTES,
        };
        let count = input.len().min(until - in_frame);
        self.held.extend_from_slice(&input[..count]);
        if let Some(header) = FrameHeader::read(&self.held[self.last_frame_at..]) {
            self.settle(header, out);
        }
        count
    }

    /// Decides on what is held, now that the last frame's header is known.
    fn settle(&mut self, header: FrameHeader, out: &mut BytesMut) {
        let is_first = self.last_frame_at == 0;
        let expected = if is_first { FrameKind::Headers } else { FrameKind::Continuation };
        let end = self.last_frame_at + header.frame_bytes();
        if header.kind != expected || end > HELD_BYTES_MAX {
            self.release(end - self.held.len(), out);
        } else if self.held.len() == end && header.ends_block() {
            match mended(&self.held) {
                Some(frames) => self.replace(&frames, out),
                None => self.release(0, out),
            }
        } else if self.held.len() == end {
            self.last_frame_at = end;
        }
    }

    /// Lets what is held pass as it is, and the `left` bytes of its last frame that are to come.
    fn release(&mut self, left: usize, out: &mut BytesMut) {
        let held = std::mem::take(&mut self.held);
        self.replace(&held, out);
        self.place = if left == 0 { Place::Frames } else { Place::Passing(left) };
    }

    fn replace(&mut self, frames: &[u8], out: &mut BytesMut) {
        out.extend_from_slice(frames);
        self.held = BytesMut::new();
        self.last_frame_at = 0;
    }
}

/// The frames of one whole header block, mended; `None` when they need no mending or cannot be read.
fn mended(frames: &[u8]) -> Option<BytesMut> {
    let header = FrameHeader::read(frames)?;
    let payload = frames.get(FRAME_HEADER_BYTES..header.frame_bytes())?;
    let (priority, first) = header.priority_and_fragment(payload)?;
    let block = match frames.get(header.frame_bytes()..) {
        Some(rest) if !rest.is_empty() => block::mend(&with_continuations(first, rest)?)?,
        _ => block::mend(first)?,
    };
    let mut out = BytesMut::with_capacity(frames.len() + block.len());
    header.write_block(priority, &block, &mut out);
    Some(out)
}

fn with_continuations(first: &[u8], mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut block = first.to_vec();
    while let Some(header) = FrameHeader::read(rest) {
        block.extend_from_slice(rest.get(FRAME_HEADER_BYTES..header.frame_bytes())?);
        rest = &rest[header.frame_bytes()..];
    }
    Some(block)
}
