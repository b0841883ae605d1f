//! What holds each resource, and why it is not held better: the honest answer for people and APIs.

use std::fmt;

/// How one resource is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// Which resource.
    pub resource: Resource,
    /// By what.
    pub tier: Tier,
    /// Why not better; empty for the best.
    pub reason: String,
}

/// A resource that a control group can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Bytes of memory.
    Memory,
    /// CPU time.
    Cpu,
    /// Processes and threads.
    Pids,
}

/// What holds a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The kernel, by cgroup v2.
    KernelV2,
    /// The kernel, by cgroup v1.
    KernelV1,
    /// Nothing.
    None,
}

impl Resource {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// The kernel's name of the controller, in both dialects.
    pub fn controller(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.controller())
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::KernelV2 => "kernel-v2",
            Self::KernelV1 => "kernel-v1",
            Self::None => "none",
        })
    }
}
