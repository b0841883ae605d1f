//! Why a deploy or a generation failed.

use std::fmt;

use pexvisor_sandbox::Exit;
use serde::{Deserialize, Serialize};

/// What failed, for a program and for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of failure.
    pub reason: FailureReason,
    /// One sentence: what failed and what to do next.
    pub message: String,
    /// The Python traceback in the code server's output, if there is one.
    pub traceback: String,
    /// The last lines of the code server's output.
    pub output_tail: String,
    /// How the process ended, if it did.
    pub exit: Option<Exit>,
}

/// The kind of a failure; the wire's `FailureReason` names the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The store has no such artifact, refuses it, fails or stalls.
    Fetch,
    /// The bytes do not have the digest asked for.
    DigestMismatch,
    /// Not a pex that can be installed.
    BadArtifact,
    /// No interpreter of this container fits.
    NoInterpreter,
    /// No such script, module or entry point.
    BadCommand,
    /// The code server ended before it was ready.
    Exited,
    /// No socket, or not healthy, in time.
    StartTimeout,
    /// The socket is a link or another process's.
    ForeignSocket,
    /// No space on the device or in the quota.
    DiskFull,
    /// It ran and then died.
    Crashed,
    /// It ran and stopped answering.
    LostHealth,
    /// Stopped or removed before it was ready.
    Stopped,
    /// A defect of the supervisor or a failing disk.
    Internal,
}

impl Failure {
    /// A failure without any output of a code server.
    pub fn new(reason: FailureReason, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self { reason, message, traceback: String::new(), output_tail: String::new(), exit: None }
    }
}
