//! Lines of output as a person reads them.

use pexvisor_proto::v1;

use super::words;

/// What stands before each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Nothing: the line as it was written.
    None,
    /// Its time, generation and stream.
    Full,
}

/// A line with its end, byte for byte; before it a note if lines were lost.
pub fn log_line(line: &v1::LogLine, prefix: Prefix) -> Vec<u8> {
    let mut text = String::new();
    if line.lost > 0 {
        text.push_str(&format!("[{} lines lost]\n", line.lost));
    }
    if prefix == Prefix::Full {
        let (time, stream) = (words::clock(line.time.as_ref()), words::stream(line.stream()));
        text.push_str(&format!("{time} g{} {stream} ", line.generation));
    }
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(&line.line);
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_byte_for_byte_and_a_gap_is_said() {
        let stream = v1::log_line::Stream::Stderr.into();
        let line = v1::LogLine { generation: 3, stream, line: b"a\xffb".to_vec(), lost: 2, time: None };
        assert_eq!(log_line(&line, Prefix::None), b"[2 lines lost]\na\xffb\n");
        assert_eq!(log_line(&line, Prefix::Full), b"[2 lines lost]\n--:--:--.--- g3 stderr a\xffb\n");
    }
}
