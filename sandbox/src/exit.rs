//! How a process ended, and what its cgroup says about why.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cgroup::Usage;

/// Bytes of the megabyte that memory is shown in.
const MEGABYTE: u64 = 1_000_000;

/// The end of a generation's first process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// By itself or by a signal.
    pub end: End,
    /// Did the kernel's OOM killer end a process of this cgroup?
    pub out_of_memory: bool,
    /// Peak memory of the cgroup in bytes; 0 when unknown.
    pub memory_bytes_peak: u64,
}

/// How one process ended (wait(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// It was ended by this signal.
    Signal(i32),
}

impl Exit {
    /// `end` with what the leaf had counted by then; read the usage before the leaf is removed.
    pub fn new(end: End, usage: &Usage) -> Self {
        Self { end, out_of_memory: usage.oom_kills > 0, memory_bytes_peak: usage.memory_bytes_peak.unwrap_or(0) }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.end)?;
        match (self.out_of_memory, self.memory_bytes_peak) {
            (false, _) => Ok(()),
            (true, 0) => write!(out, " (out of memory)"),
            (true, peak) => write!(out, " (out of memory, peak {} MB)", peak.div_ceil(MEGABYTE)),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(out, "exit code {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => write!(out, "killed by {}", signal.as_str()),
                Err(_) => write!(out, "killed by signal {number}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_reads_as_a_person_would_say_it() {
        let exit = |end, out_of_memory, memory_bytes_peak| Exit { end, out_of_memory, memory_bytes_peak }.to_string();
        assert_eq!(exit(End::Code(3), false, 7), "exit code 3");
        assert_eq!(exit(End::Signal(9), false, 0), "killed by SIGKILL");
        assert_eq!(exit(End::Signal(9), true, 512 * MEGABYTE), "killed by SIGKILL (out of memory, peak 512 MB)");
        assert_eq!(exit(End::Code(1), true, 0), "exit code 1 (out of memory)");
        assert_eq!(exit(End::Signal(35), false, 0), "killed by signal 35");
    }
}
