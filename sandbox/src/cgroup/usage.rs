//! What a leaf has used, as the kernel counts it.

/// Figures of one leaf; what the kernel does not count is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory now.
    pub memory_bytes: Option<u64>,
    /// Most bytes of memory ever.
    pub memory_bytes_peak: Option<u64>,
    /// Processes that the OOM killer ended.
    pub oom_kills: u64,
    /// Processes and threads now.
    pub pids: Option<u64>,
    /// Microseconds of CPU time.
    pub cpu_us: Option<u64>,
}
