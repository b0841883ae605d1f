//! Memory that no environment can take: all of them together get the container's, less the supervisor's own share. So
//! the kernel's choice of a victim in a full container is made among environments and never falls on PID 1.

use pexvisor_sandbox::cgroup::{CgroupError, Limits, Tree};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Least reserve: pexvisor idle takes a quarter of it, the rest is for its buffers and an installer.
const RESERVE_BYTES_MIN: u64 = 64 << 20;
/// Most of a large container that is kept: an installer may take as much (see `artifact/installer`).
const RESERVE_BYTES_MAX: u64 = 1 << 30;
/// In between, this part of the container: caches of the kernel grow with it.
const RESERVE_PART: u64 = 16;

/// Limits all environments together; gives the bytes that they may take.
///
/// # Errors
/// When the kernel refuses the limit.
pub fn hold(tree: &Tree) -> Result<u64, CgroupError> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let machine = System::new_with_specifics(memory).map_or(u64::MAX, |system| system.total_memory());
    let container = tree.memory_bytes_around().unwrap_or(machine).min(machine);
    let environments = without_reserve(container);
    tree.limit_environments(&Limits { memory_bytes_max: Some(environments), ..Limits::default() })?;
    Ok(environments)
}

/// A container too small for the least reserve is shared in two.
fn without_reserve(container: u64) -> u64 {
    let reserve = (container / RESERVE_PART).clamp(RESERVE_BYTES_MIN, RESERVE_BYTES_MAX);
    container - reserve.min(container / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_a_sixteenth_within_its_bounds() {
        assert_eq!(without_reserve(100 << 20), 50 << 20);
        assert_eq!(without_reserve(512 << 20), 448 << 20);
        assert_eq!(without_reserve(4 << 30), (4 << 30) - (256 << 20));
        assert_eq!(without_reserve(64 << 30), 63 << 30);
    }
}
