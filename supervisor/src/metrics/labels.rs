//! The label sets, and the fixed words that label values are taken from.

use std::hash::Hash;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::words::{EnvironmentName, FailureReason, Phase};

/// The phases that `pexvisor_environments` tells apart; those without an environment are shown as 0.
pub const PHASES: [Phase; 7] = [
    Phase::Deploying,
    Phase::Serving,
    Phase::Restarting,
    Phase::CrashLoop,
    Phase::Failed,
    Phase::Stopping,
    Phase::Stopped,
];

/// `{environment="…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByEnvironment {
    pub environment: String,
}

/// `{phase="…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByPhase {
    pub phase: Word,
}

/// `{outcome="…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByOutcome {
    pub outcome: Word,
}

/// `{reason="…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByReason {
    pub reason: Word,
}

/// `{environment="…",reason="…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByEnvironmentAndReason {
    pub environment: String,
    pub reason: Word,
}

/// `{step="…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByStep {
    pub step: Word,
}

/// `{limit="…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByLimit {
    pub limit: Word,
}

/// A label value that stands in the program's text, so that there are only so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Word(pub &'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0, encoder)
    }
}

impl From<&EnvironmentName> for ByEnvironment {
    fn from(name: &EnvironmentName) -> Self {
        Self { environment: name.to_string() }
    }
}

/// A phase as label value.
pub fn phase(phase: Phase) -> Word {
    Word(match phase {
        Phase::Deploying => "deploying",
        Phase::Serving => "serving",
        Phase::Restarting => "restarting",
        Phase::CrashLoop => "crash_loop",
        Phase::Failed => "failed",
        Phase::Stopping => "stopping",
        Phase::Stopped => "stopped",
    })
}

/// A failure reason as label value: the wire's name without its prefix, in lower case.
pub fn reason(reason: FailureReason) -> Word {
    Word(match reason {
        FailureReason::Fetch => "fetch",
        FailureReason::DigestMismatch => "digest_mismatch",
        FailureReason::BadArtifact => "bad_artifact",
        FailureReason::NoInterpreter => "no_interpreter",
        FailureReason::BadCommand => "bad_command",
        FailureReason::Exited => "exited",
        FailureReason::StartTimeout => "start_timeout",
        FailureReason::ForeignSocket => "foreign_socket",
        FailureReason::DiskFull => "disk_full",
        FailureReason::Crashed => "crashed",
        FailureReason::LostHealth => "lost_health",
        FailureReason::Stopped => "stopped",
        FailureReason::Internal => "internal",
    })
}
