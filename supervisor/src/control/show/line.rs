//! One line of a code server's output.

use pexvisor_proto::v1;

use super::timestamp;
use crate::code_server::{Line, Stream};

/// A LogLine.
pub fn line(line: Line) -> v1::LogLine {
    let Line { index: _, time, generation, number: _, stream, text, lost } = line;
    let stream = match stream {
        Stream::Stdout => v1::log_line::Stream::Stdout,
        Stream::Stderr => v1::log_line::Stream::Stderr,
    };
    v1::LogLine { time: Some(timestamp(time)), generation, stream: stream.into(), line: text.to_vec(), lost }
}
