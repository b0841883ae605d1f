//! Step: when the whole container runs out of memory, the kernel takes the program before the supervisor.
//!
//! Cgroup limits come first where there are any; this is for what they do not hold. Raising the score needs no right.

use std::{fs, io};

/// A share of all memory in thousandths that counts as used on top (proc_pid_oom_score_adj(5)): a program loses to the
/// supervisor as long as that uses less than half of the memory.
const ADJUSTMENT: i32 = 500;

const FILE: &str = "/proc/self/oom_score_adj";

pub(super) fn raise() -> io::Result<()> {
    let inherited: i32 = fs::read_to_string(FILE)?.trim().parse().map_err(io::Error::other)?;
    if inherited < ADJUSTMENT { fs::write(FILE, ADJUSTMENT.to_string()) } else { Ok(()) }
}
