//! Whole connections through a [`Mended`] stream: what other parts of HTTP/2 must not notice, and what must change.

use bytes::BytesMut;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use loona_hpack::{Decoder, Encoder};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{frame::FRAME_HEADER_BYTES, walker::Walker, *};

type Headers = Vec<(Vec<u8>, Vec<u8>)>;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const END_HEADERS: u8 = 0x4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// How one header block is cut into frames.
#[derive(Clone, Debug)]
struct Shape {
    padding: Option<u8>,
    has_priority: bool,
    ends_stream: bool,
    fragment_bytes: usize,
    data_bytes: usize,
}

fn header_frames(stream: u32, block: &[u8], shape: &Shape) -> Vec<u8> {
    let (first, rest) = block.split_at(block.len().min(shape.fragment_bytes));
    let mut flags = u8::from(shape.ends_stream) | if rest.is_empty() { END_HEADERS } else { 0 };
    let mut payload = Vec::new();
    if let Some(padding) = shape.padding {
        flags |= 0x8;
        payload.push(padding);
    }
    if shape.has_priority {
        flags |= 0x20;
        payload.extend([0, 0, 0, 0, 15]);
    }
    payload.extend(first);
    payload.extend(vec![0; shape.padding.unwrap_or(0).into()]);
    let mut bytes = frame(0x1, flags, stream, &payload);
    let mut parts = rest.chunks(shape.fragment_bytes).peekable();
    while let Some(part) = parts.next() {
        bytes.extend(frame(0x9, if parts.peek().is_none() { END_HEADERS } else { 0 }, stream, part));
    }
    bytes
}

/// What a server sees: the header lists in order, and all other frames as they are.
fn seen_by_server(mut bytes: &[u8]) -> (Vec<(u8, Headers)>, Vec<Vec<u8>>) {
    let mut decoder = Decoder::new();
    let (mut lists, mut others, mut block, mut opening_flags) = (Vec::new(), Vec::new(), Vec::new(), 0);
    bytes = bytes.strip_prefix(PREFACE).expect("the preface passes");
    while !bytes.is_empty() {
        let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        let (kind, flags) = (bytes[3], bytes[4]);
        let (whole, rest) = bytes.split_at(FRAME_HEADER_BYTES + length);
        let mut payload = &whole[FRAME_HEADER_BYTES..];
        match kind {
            0x1 => {
                opening_flags = flags & 1;
                if flags & 0x8 != 0 {
                    payload = &payload[1..payload.len() - usize::from(payload[0])];
                }
                block = payload[if flags & 0x20 != 0 { 5 } else { 0 }..].to_vec();
            }
            0x9 => block.extend(payload),
            _ => others.push(whole.to_vec()),
        }
        if (kind == 0x1 || kind == 0x9) && flags & END_HEADERS != 0 {
            lists.push((opening_flags, decoder.decode(&block).expect("a block that HPACK takes")));
        }
        bytes = rest;
    }
    (lists, others)
}

fn walk(bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
    let (mut walker, mut seen, mut rest) = (Walker::default(), Vec::new(), bytes);
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(*cuts.next().expect("cuts")));
        let mut out = BytesMut::new();
        let passed = walker.walk(chunk, &mut out);
        seen.extend(&chunk[..passed]);
        seen.extend(&out);
        rest = after;
    }
    seen
}

fn is_authority(value: &[u8]) -> bool {
    http::uri::Authority::try_from(value).is_ok()
}

fn headers() -> impl Strategy<Value = Headers> {
    let authority = prop_oneof![
        Just(&b"/tmp/a/b.sock"[..]),
        Just(&b"tmp%2Fa%2Fb.sock"[..]),
        Just(&b"localhost"[..]),
        Just(&b"/run/\xc3\xa4 b/\x01.sock"[..]),
    ];
    let other = ("[a-z-]{1,12}", proptest::collection::vec(any::<u8>(), 0..300));
    (authority, proptest::collection::vec(other, 0..12)).prop_map(|(authority, others)| {
        let mut headers = vec![(b":method".to_vec(), b"POST".to_vec()), (b":authority".to_vec(), authority.to_vec())];
        headers.extend(others.into_iter().map(|(name, value)| (name.into_bytes(), value)));
        headers
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    let padding = proptest::option::of(any::<u8>());
    (padding, any::<bool>(), any::<bool>(), prop_oneof![1_usize..40, 200_usize..16_000], 0_usize..500).prop_map(
        |(padding, has_priority, ends_stream, fragment_bytes, data_bytes)| Shape {
            padding,
            has_priority,
            ends_stream,
            fragment_bytes,
            data_bytes,
        },
    )
}

proptest! {
    #[test]
    fn a_server_sees_the_same_but_for_a_malformed_authority(
        calls in proptest::collection::vec((headers(), shape()), 1..12),
        cuts in proptest::collection::vec(prop_oneof![1_usize..12, 1_usize..2_000], 1..20),
    ) {
        let mut encoder = Encoder::new();
        let mut sent = PREFACE.to_vec();
        for (stream, (headers, shape)) in (1..).step_by(2).zip(&calls) {
            let block = encoder.encode(headers.iter().map(|(name, value)| (&name[..], &value[..])));
            sent.extend(header_frames(stream, &block, shape));
            sent.extend(frame(0x0, 0, stream, &vec![b'x'; shape.data_bytes]));
        }
        let (lists, others) = seen_by_server(&walk(&sent, &cuts));
        prop_assert_eq!(others, seen_by_server(&sent).1);
        prop_assert_eq!(lists.len(), calls.len());
        for ((flags, seen), (headers, shape)) in lists.iter().zip(&calls) {
            prop_assert_eq!(*flags, u8::from(shape.ends_stream));
            prop_assert_eq!(seen.len(), headers.len());
            for ((seen_name, seen_value), (name, value)) in seen.iter().zip(headers) {
                prop_assert_eq!(seen_name, name);
                if name == b":authority" && !is_authority(value) {
                    prop_assert!(is_authority(seen_value) && seen_value.len() == value.len());
                } else {
                    prop_assert_eq!(seen_value, value);
                }
            }
        }
    }

    #[test]
    fn garbage_neither_panics_nor_is_held_back_for_ever(
        has_preface: bool,
        kind in prop_oneof![Just(1_u8), Just(9), any::<u8>()],
        flags: u8,
        garbage in proptest::collection::vec(any::<u8>(), 0..3_000),
        cuts in proptest::collection::vec(1_usize..500, 1..10),
    ) {
        let start = if has_preface { PREFACE } else { b"GET / HTTP/1.1\r\n" };
        let sent = [start, &frame(kind, flags, 1, &garbage), &garbage].concat();
        let seen = walk(&sent, &cuts);
        prop_assert!(has_preface || seen == sent, "what is not HTTP/2 passes as it is");
    }
}

#[test]
fn a_header_block_without_end_is_not_collected() {
    let mut walker = Walker::default();
    let mut out = BytesMut::new();
    let mut passed = walker.walk(PREFACE, &mut out);
    passed += walker.walk(&frame(0x1, 0, 1, b"\x41\x03/a/"), &mut out);
    for _ in 0..1_000 {
        passed += walker.walk(&frame(0x9, 0, 1, &[0x82; 1_000]), &mut out);
    }
    let sent = PREFACE.len() + 9 + 5 + 1_000 * 1_009;
    assert!(passed + out.len() + 64 * 1024 >= sent, "at most 64 KiB are held");
}

/// The bytes of a call by `grpcurl -unix` 1.8.6 (value in Huffman code) and by Python's gRPC (name and value literal).
fn call_bytes(authority_field: &[u8]) -> Vec<u8> {
    let block = [b"\x83\x86", authority_field, b"\x44\x04/a/b"].concat();
    [PREFACE, &frame(0x4, 0, 0, b""), &frame(0x1, 0x5, 1, &block)].concat()
}

async fn response_to(sent: Vec<u8>) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
        let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        http::Response::builder().header("x-authority", authority).body(Empty::<bytes::Bytes>::new())
    });
    let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(Mended::new(server)), service);
    tokio::spawn(serving);
    client.write_all(&sent).await.unwrap();
    let mut seen = Vec::new();
    let mut decoder = Decoder::new();
    loop {
        let mut header = [0; FRAME_HEADER_BYTES];
        client.read_exact(&mut header).await.unwrap();
        let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
        client.read_exact(&mut payload).await.unwrap();
        match header[3] {
            0x1 => seen.extend(decoder.decode(&payload).unwrap()),
            0x3 | 0x7 => panic!("the call was refused: {payload:?}"),
            _ => continue,
        }
        return seen.into_iter().find(|(name, _)| name == b"x-authority").unwrap().1;
    }
}

#[tokio::test]
async fn calls_as_grpcurl_and_python_send_them_reach_the_service() {
    let grpcurl = call_bytes(b"\x41\x8a\x61\x34\xd6\xc0\xd8\x8d\x74\x1c\x9d\x7f");
    assert_eq!(response_to(grpcurl).await, b"-tmp-a-b.sock");
    let python = call_bytes(b"\x40\x0a:authority\x10tmp%2Fa%2Fb.sock");
    assert_eq!(response_to(python).await, b"-mp-2Fa-2Fb.sock");
}
