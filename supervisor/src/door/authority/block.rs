//! Finds the `:authority` literals of one HPACK header block (RFC 7541 section 6) and replaces malformed values.
//!
//! It reads where fields begin and end, and decodes nothing but that one value.

use std::borrow::Cow;

use http::uri::Authority;
use loona_hpack::huffman::HuffmanDecoder;

const NAME: &[u8] = b":authority";
/// `:authority` in HPACK's Huffman code (RFC 7541, appendix B).
const NAME_IN_HUFFMAN: &[u8] = &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f];
/// Where `:authority` is in the static table (RFC 7541, appendix A).
const NAME_INDEX: usize = 1;
/// Bytes of an integer after its prefix: enough for 2^28, more than any block has bytes.
const INTEGER_BYTES_MAX: usize = 4;

/// The block with its malformed `:authority` values replaced by some of the same decoded length; `None` when it is
/// fine as it is, or cannot be read.
pub fn mend(block: &[u8]) -> Option<Vec<u8>> {
    let mut mended = None;
    let (mut at, mut copied) = (0, 0);
    while at < block.len() {
        let field = Field::read(&block[at..])?;
        if let Some(value) = field.authority_value(&block[at..]).and_then(|text| text.replacement()) {
            let mended = mended.get_or_insert_with(|| Vec::with_capacity(block.len() + value.len()));
            mended.extend_from_slice(&block[copied..at + field.value_at]);
            write_text(&value, mended);
            copied = at + field.bytes;
        }
        at += field.bytes;
    }
    mended.map(|mut mended| {
        mended.extend_from_slice(&block[copied..]);
        mended
    })
}

/// Where one field representation ends, and where its value is if it is an `:authority` literal.
struct Field {
    bytes: usize,
    /// Offset of the value.
    value_at: usize,
    is_authority_literal: bool,
}

/// A string literal as it is in the block.
struct Text<'a> {
    is_huffman: bool,
    raw: &'a [u8],
}

impl Field {
    fn read(bytes: &[u8]) -> Option<Self> {
        let index_bits = match *bytes.first()? {
            0x80.. => return Self::without_value(bytes, 7),
            0x40.. => 6,
            0x20.. => return Self::without_value(bytes, 5),
            _ => 4,
        };
        let (name_index, mut value_at) = read_integer(bytes, index_bits)?;
        let mut is_authority_literal = name_index == NAME_INDEX;
        if name_index == 0 {
            let (name, name_bytes) = Text::read(&bytes[value_at..])?;
            is_authority_literal = name.raw == if name.is_huffman { NAME_IN_HUFFMAN } else { NAME };
            value_at += name_bytes;
        }
        let (_, value_bytes) = Text::read(&bytes[value_at..])?;
        Some(Self { bytes: value_at + value_bytes, value_at, is_authority_literal })
    }

    /// An indexed field or a change of the table's size: one integer.
    fn without_value(bytes: &[u8], prefix_bits: u8) -> Option<Self> {
        let (_, bytes) = read_integer(bytes, prefix_bits)?;
        Some(Self { bytes, value_at: bytes, is_authority_literal: false })
    }

    fn authority_value<'a>(&self, bytes: &'a [u8]) -> Option<Text<'a>> {
        if !self.is_authority_literal {
            return None;
        }
        Text::read(&bytes[self.value_at..]).map(|(text, _)| text)
    }
}

impl<'a> Text<'a> {
    /// The string at the start of `bytes`, and how many bytes it takes.
    fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let is_huffman = bytes.first()? & 0x80 != 0;
        let (length, at) = read_integer(bytes, 7)?;
        let end = at.checked_add(length)?;
        Some((Self { is_huffman, raw: bytes.get(at..end)? }, end))
    }

    /// A well-formed authority of the same length, if this is none. It begins with a hyphen, so it is never a route.
    fn replacement(&self) -> Option<Vec<u8>> {
        let text = self.decoded()?;
        if text.is_empty() || Authority::try_from(text.as_ref()).is_ok() {
            return None;
        }
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.';
        let mut replacement: Vec<u8> = text.iter().map(|byte| if fits(byte) { *byte } else { b'-' }).collect();
        replacement[0] = b'-';
        Some(replacement)
    }

    fn decoded(&self) -> Option<Cow<'a, [u8]>> {
        if self.is_huffman {
            return HuffmanDecoder::new().decode(self.raw).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(self.raw))
    }
}

/// An integer with a prefix of `prefix_bits` (RFC 7541 section 5.1), and how many bytes it takes.
fn read_integer(bytes: &[u8], prefix_bits: u8) -> Option<(usize, usize)> {
    let mask = (1_usize << prefix_bits) - 1;
    let prefix = usize::from(*bytes.first()?) & mask;
    if prefix < mask {
        return Some((prefix, 1));
    }
    let mut value = prefix;
    for (position, byte) in bytes.iter().skip(1).take(INTEGER_BYTES_MAX).enumerate() {
        value += usize::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Some((value, position + 2));
        }
    }
    None
}

/// A string literal without Huffman code.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    const MASK: usize = 0x7f;
    if text.len() < MASK {
        out.push(text.len() as u8);
    } else {
        out.push(MASK as u8);
        let mut rest = text.len() - MASK;
        while rest > 0x7f {
            out.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use loona_hpack::Decoder;

    use super::*;

    fn authority_of(block: &[u8]) -> String {
        let fields = Decoder::new().decode(block).unwrap();
        let (_, value) = fields.into_iter().find(|(name, _)| name == NAME).unwrap();
        String::from_utf8(value).unwrap()
    }

    fn mended_authority(name: &[u8], value: &[u8]) -> Option<String> {
        mend(&[b"\x83", name, value, b"\x86"].concat()).map(|block| authority_of(&block))
    }

    #[test]
    fn a_path_is_replaced_however_it_is_encoded() {
        let grpcurl_in_huffman = b"\x8a\x61\x34\xd6\xc0\xd8\x8d\x74\x1c\x9d\x7f";
        for name in [&b"\x41"[..], b"\x01", b"\x11", b"\x40\x0a:authority", b"\x00\x88\xb8\x3b\x53\x39\xec\x32\x7d\x7f"]
        {
            assert_eq!(mended_authority(name, b"\x0d/tmp/a/b.sock").as_deref(), Some("-tmp-a-b.sock"));
            assert_eq!(mended_authority(name, b"\x10tmp%2Fa%2Fb.sock").as_deref(), Some("-mp-2Fa-2Fb.sock"));
            assert_eq!(mended_authority(name, grpcurl_in_huffman).as_deref(), Some("-tmp-a-b.sock"));
        }
    }

    #[test]
    fn a_long_path_keeps_its_length() {
        for bytes in [126, 127, 128, 254, 255, 256, 5_000] {
            let path = "/".repeat(bytes);
            let mut value = Vec::new();
            write_text(path.as_bytes(), &mut value);
            assert_eq!(mended_authority(b"\x41", &value), Some("-".repeat(bytes)));
        }
    }

    #[test]
    fn a_well_formed_authority_and_a_broken_block_are_left_alone() {
        for good in ["localhost", "etl.code.svc:4266", "[::1]:80", "unix"] {
            let mut value = Vec::new();
            write_text(good.as_bytes(), &mut value);
            assert_eq!(mended_authority(b"\x41", &value), None);
        }
        assert_eq!(mend(b"\x41\x0d/tmp"), None, "cut short");
        assert_eq!(mend(b"\x41\x03/a/\xff\xff\xff\xff\xff\xff"), None, "an integer without end");
        assert_eq!(mend(b"\x41\x00"), None, "nothing of no length is an authority");
    }
}
