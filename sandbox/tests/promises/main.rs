//! The promises of the box, kept by real processes in the machine's real control groups.
//!
//! Needs root and a writable cgroup hierarchy with the memory, cpu and pids controllers, v1 or v2, and a mount of v2
//! (the hybrid one will do). Without them the tests that need them fail and say so.

mod launch;
mod leaf;
mod limits;
mod support;
mod trees;
