//! The wire's enums and times as people read them; JSON uses the same.

use std::time::SystemTime;

use pexvisor_proto::v1;
use prost_types::Timestamp;

use crate::units;

/// A phase, such as `crash-loop`.
pub fn phase(phase: v1::Phase) -> String {
    lower(phase.as_str_name(), "PHASE_")
}

/// A generation's phase.
pub fn generation_phase(phase: v1::GenerationPhase) -> String {
    lower(phase.as_str_name(), "GENERATION_PHASE_")
}

/// A failure's reason.
pub fn reason(reason: v1::FailureReason) -> String {
    lower(reason.as_str_name(), "FAILURE_REASON_")
}

/// The stream that a line was written to.
pub fn stream(stream: v1::log_line::Stream) -> String {
    lower(stream.as_str_name(), "STREAM_")
}

/// How a process ended: `exit code 1`, `signal 9, out of memory (peak 512.0 MB)`.
pub fn exit(exit: &v1::Exit) -> String {
    let v1::Exit { how, out_of_memory, memory_bytes_peak } = exit;
    let mut text = match how {
        Some(v1::exit::How::Code(code)) => format!("exit code {code}"),
        Some(v1::exit::How::Signal(signal)) => format!("signal {signal}"),
        None => "unknown end".to_owned(),
    };
    if *out_of_memory {
        text.push_str(", out of memory");
    }
    if *memory_bytes_peak > 0 {
        text.push_str(&format!(" (peak {})", units::show_bytes(*memory_bytes_peak)));
    }
    text
}

/// The start of a digest, as long as people need to tell a few apart.
pub fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// How long ago a time was, or `-`.
pub fn age(time: Option<&Timestamp>) -> String {
    let then = time.and_then(|time| SystemTime::try_from(*time).ok());
    then.map_or("-".to_owned(), |then| {
        let elapsed = SystemTime::now().duration_since(then).unwrap_or_default();
        units::show_age(elapsed.as_secs())
    })
}

/// The time of day in UTC to the millisecond: `11:22:33.444`.
pub fn clock(time: Option<&Timestamp>) -> String {
    let Some(Timestamp { seconds, nanos }) = time else { return "--:--:--.---".to_owned() };
    let of_day = seconds.rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}.{:03}", of_day / 3600, of_day / 60 % 60, of_day % 60, nanos / 1_000_000)
}

/// A number, or `-` for the 0 that stands for none.
pub fn number(number: u64) -> String {
    if number == 0 { "-".to_owned() } else { number.to_string() }
}

fn lower(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enums_read_as_words() {
        assert_eq!(phase(v1::Phase::CrashLoop), "crash-loop");
        assert_eq!(generation_phase(v1::GenerationPhase::Draining), "draining");
        assert_eq!(reason(v1::FailureReason::StartTimeout), "start-timeout");
        assert_eq!(stream(v1::log_line::Stream::Stderr), "stderr");
    }

    #[test]
    fn an_exit_says_how_and_why() {
        let killed =
            v1::Exit { how: Some(v1::exit::How::Signal(9)), out_of_memory: true, memory_bytes_peak: 512_000_000 };
        assert_eq!(exit(&killed), "signal 9, out of memory (peak 512.0 MB)");
    }

    #[test]
    fn a_clock_reads_in_utc() {
        let time = Timestamp { seconds: 86_400 + 3_723, nanos: 45_000_000 };
        assert_eq!(clock(Some(&time)), "01:02:03.045");
    }
}
