//! The nine bytes before every HTTP/2 frame (RFC 9113 section 4.1), and the parts of a HEADERS frame (section 6.2).

use bytes::{BufMut, BytesMut};

/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 9;
/// Largest payload that every peer takes (SETTINGS_MAX_FRAME_SIZE's initial value, RFC 9113 section 6.5.2).
const PAYLOAD_BYTES_MAX: usize = 16_384;

const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// Stream dependency and weight.
const PRIORITY_BYTES: usize = 5;

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes after the header; 0 to 2^24 - 1.
    pub payload_bytes: usize,
    /// What the frame is.
    pub kind: FrameKind,
    flags: u8,
    stream: u32,
}

/// What a frame is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Begins a header block.
    Headers,
    /// Goes on with one.
    Continuation,
    /// Everything else.
    Other,
}

impl FrameHeader {
    /// The header at the start of `bytes`, if there are enough of them.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let &[high, mid, low, kind, flags, a, b, c, d] = bytes.first_chunk::<FRAME_HEADER_BYTES>()?;
        let kind = match kind {
            0x1 => FrameKind::Headers,
            0x9 => FrameKind::Continuation,
            _ => FrameKind::Other,
        };
        let payload_bytes = usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low);
        Some(Self { payload_bytes, kind, flags, stream: u32::from_be_bytes([a, b, c, d]) })
    }

    /// Bytes of the frame, header and payload.
    pub fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.payload_bytes
    }

    /// Whether the header block ends with this frame.
    pub fn ends_block(&self) -> bool {
        self.flags & END_HEADERS != 0
    }

    /// Splits a HEADERS frame's payload into its priority (maybe empty) and its part of the header block, without
    /// padding. `None` when the padding does not fit.
    pub fn priority_and_fragment<'a>(&self, payload: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let unpadded = if self.flags & PADDED == 0 {
            payload
        } else {
            let (&padding, rest) = payload.split_first()?;
            rest.get(..rest.len().checked_sub(usize::from(padding))?)?
        };
        unpadded.split_at_checked(if self.flags & PRIORITY == 0 { 0 } else { PRIORITY_BYTES })
    }

    /// Writes this HEADERS frame with another header block, unpadded, and as many CONTINUATION frames as that takes.
    pub fn write_block(&self, priority: &[u8], block: &[u8], out: &mut BytesMut) {
        let (first, mut rest) = block.split_at(block.len().min(PAYLOAD_BYTES_MAX - priority.len()));
        let flags = self.flags & !(PADDED | END_HEADERS);
        self.write_header(0x1, flags, priority.len() + first.len(), rest.is_empty(), out);
        out.put_slice(priority);
        out.put_slice(first);
        while !rest.is_empty() {
            let (next, after) = rest.split_at(rest.len().min(PAYLOAD_BYTES_MAX));
            self.write_header(0x9, 0, next.len(), after.is_empty(), out);
            out.put_slice(next);
            rest = after;
        }
    }

    fn write_header(&self, kind: u8, flags: u8, payload_bytes: usize, is_last: bool, out: &mut BytesMut) {
        out.put_uint(payload_bytes as u64, 3);
        out.put_u8(kind);
        out.put_u8(if is_last { flags | END_HEADERS } else { flags });
        out.put_u32(self.stream);
    }
}
