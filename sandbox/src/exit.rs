//! How a process ended, and what its cgroup says about why.

use serde::{Deserialize, Serialize};

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
