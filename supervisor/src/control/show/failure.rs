//! Why something failed, and how a process ended.

use pexvisor_proto::v1;
use pexvisor_sandbox::{End, Exit};

use crate::words::{Failure, FailureReason};

/// A Failure.
pub fn failure(failure: Failure) -> v1::Failure {
    let Failure { reason, message, traceback, output_tail, exit: end } = failure;
    v1::Failure { reason: self::reason(reason).into(), message, traceback, output_tail, exit: end.map(exit) }
}

/// An Exit.
pub fn exit(exit: Exit) -> v1::Exit {
    let Exit { end, out_of_memory, memory_bytes_peak } = exit;
    let how = match end {
        End::Code(code) => v1::exit::How::Code(code),
        End::Signal(signal) => v1::exit::How::Signal(signal),
    };
    v1::Exit { how: Some(how), out_of_memory, memory_bytes_peak }
}

fn reason(reason: FailureReason) -> v1::FailureReason {
    match reason {
        FailureReason::Fetch => v1::FailureReason::Fetch,
        FailureReason::DigestMismatch => v1::FailureReason::DigestMismatch,
        FailureReason::BadArtifact => v1::FailureReason::BadArtifact,
        FailureReason::NoInterpreter => v1::FailureReason::NoInterpreter,
        FailureReason::BadCommand => v1::FailureReason::BadCommand,
        FailureReason::Exited => v1::FailureReason::Exited,
        FailureReason::StartTimeout => v1::FailureReason::StartTimeout,
        FailureReason::ForeignSocket => v1::FailureReason::ForeignSocket,
        FailureReason::DiskFull => v1::FailureReason::DiskFull,
        FailureReason::Crashed => v1::FailureReason::Crashed,
        FailureReason::LostHealth => v1::FailureReason::LostHealth,
        FailureReason::Stopped => v1::FailureReason::Stopped,
        FailureReason::Internal => v1::FailureReason::Internal,
    }
}
