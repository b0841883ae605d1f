//! The words that every part of the supervisor shares: names, digests, revisions, failures, states.
//!
//! Plain data, checked when made, without IO, clock or wire format. The control API translates to and from these.

mod causes;
mod digest;
mod failure;
mod health;
mod name;
mod revision;
#[cfg(test)]
pub mod samples;
mod status;

pub use causes::with_causes;
pub use digest::{BadDigest, Digest};
pub use failure::{Failure, FailureReason};
pub use health::Health;
pub use name::{BadName, EnvironmentName};
pub use revision::{
    ArtifactRef, ArtifactSource, Command, CommandKind, DagsterCode, DagsterProfile, Limits, Revision, RevisionSpec,
};
pub use status::{CallsInFlight, EnvironmentStatus, GenerationPhase, GenerationStatus, Phase, Timings};

/// Number of a revision within its environment, from 1; the supervisor counts and never reuses one.
pub type RevisionNumber = u64;
/// Number of a generation within its environment, from 1; the supervisor counts and never reuses one.
pub type GenerationNumber = u64;
