//! The box around a process tree: a cgroup per generation, a start through a stage program, an exit with its reason.
//!
//! The box does not know what is in it: no protocol, no async runtime, nothing of Python.

mod exit;

pub use exit::{End, Exit};
