//! The limits of a group, in units that both kernels' dialects translate.

/// What is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory of the whole tree; swap does not add to it.
    pub memory_bytes_max: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis_max: Option<u32>,
    /// 1 to 10000, as v2's cpu.weight; 100 is everyone's.
    pub cpu_weight: Option<u32>,
    /// Processes and threads.
    pub pids_max: Option<u32>,
}

/// Microseconds in which a CPU quota is counted: the kernel's default.
pub(super) const CPU_PERIOD_US: u64 = 100_000;

/// Least quota in microseconds that the kernel takes.
const CPU_QUOTA_US_MIN: u64 = 1_000;

/// The weight that a group has when nobody sets one (cgroup-v2.rst).
pub(super) const CPU_WEIGHT_DEFAULT: u32 = 100;

/// Microseconds per [`CPU_PERIOD_US`] for so many thousandths of a core.
pub(super) fn cpu_quota_us(cpu_millis: u32) -> u64 {
    (u64::from(cpu_millis) * CPU_PERIOD_US / 1_000).max(CPU_QUOTA_US_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_share_of_the_period_and_never_below_the_kernels_least() {
        assert_eq!(cpu_quota_us(1_000), CPU_PERIOD_US);
        assert_eq!(cpu_quota_us(2_500), 250_000);
        assert_eq!(cpu_quota_us(1), 1_000);
        assert_eq!(cpu_quota_us(u32::MAX), 429_496_729_500);
    }
}
