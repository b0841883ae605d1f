//! The limits of a generation.

use pexvisor_proto::v1;

use super::field::{BadField, Problem};
use crate::words::Limits;

/// Less than a bare Python takes (9 MB): a smaller figure is a mistaken unit.
const MEMORY_BYTES_MIN: u64 = 8 << 20;
/// The least that cpu.max takes: a quota of 1 ms in its period of 100 ms (cgroup-v2).
const CPU_MILLIS_MIN: u32 = 10;
/// The range of cpu.weight (cgroup-v2).
const CPU_WEIGHT_MAX: u32 = 10_000;
/// An interpreter and the threads of its gRPC server.
const PIDS_MIN: u32 = 4;
/// Standard streams, listener, epoll, and a few connections.
const OPEN_FILES_MIN: u32 = 32;

/// A Limits; what is 0 is not limited.
pub fn limits(limits: v1::Limits) -> Result<Limits, BadField> {
    let v1::Limits { memory_bytes_max, cpu_millis_max, cpu_weight, pids_max, open_files_max, scratch_bytes_max } =
        limits;
    let no_more = u32::MAX;
    Ok(Limits {
        memory_bytes_max: within("memory_bytes_max", memory_bytes_max, MEMORY_BYTES_MIN, u64::MAX)?,
        cpu_millis_max: within("cpu_millis_max", cpu_millis_max, CPU_MILLIS_MIN, no_more)?,
        cpu_weight: within("cpu_weight", cpu_weight, 1, CPU_WEIGHT_MAX)?,
        pids_max: within("pids_max", pids_max, PIDS_MIN, no_more)?,
        open_files_max: within("open_files_max", open_files_max, OPEN_FILES_MIN, no_more)?,
        scratch_bytes_max: Some(scratch_bytes_max).filter(|bytes| *bytes > 0),
    })
}

fn within<N>(field: &str, got: N, min: N, max: N) -> Result<Option<N>, BadField>
where
    N: Copy + Default + PartialOrd + Into<u64>,
{
    if got == N::default() {
        return Ok(None);
    }
    if got < min || got > max {
        return Err(Problem::Range { min: min.into(), max: max.into(), got: got.into() }.at(field));
    }
    Ok(Some(got))
}
