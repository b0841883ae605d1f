//! Wire to words: each request is taken apart once, field by field, into something that cannot be wrong.
//!
//! Syntax and bounds only, as supervisor.proto states them. Whether an environment exists is asked elsewhere.

mod command;
mod environ;
mod field;
mod limits;
mod revision;

use std::path::PathBuf;

use pexvisor_proto::v1;

pub use field::BadField;
use field::{Problem, bounded};

use crate::words::{ArtifactRef, EnvironmentName, GenerationNumber, RevisionNumber, RevisionSpec};

/// Longest `request_id` in bytes: room for a UUID and a prefix, small enough to keep 64 of them per environment.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What a Deploy asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deploy {
    /// Where.
    pub environment: EnvironmentName,
    /// What.
    pub spec: RevisionSpec,
    /// The caller's name for this request.
    pub request_id: Option<String>,
    /// The newest revision that the caller knows.
    pub expected_revision: Option<RevisionNumber>,
}

/// What a Logs asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// Whose.
    pub environment: EnvironmentName,
    /// One generation, or all.
    pub generation: Option<GenerationNumber>,
    /// The last lines, or all.
    pub tail: Option<usize>,
    /// What comes after the lines that are there.
    pub then: AfterTail,
}

/// What a Stage asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Which artifacts, in pex order.
    pub artifacts: Vec<ArtifactRef>,
    /// For which interpreter; the first that fits when there is none.
    pub interpreter: Option<PathBuf>,
}

/// What a log reader does at the end of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterTail {
    /// It is done.
    End,
    /// It waits for more.
    Follow,
}

/// A Deploy.
pub fn deploy(request: v1::DeployRequest) -> Result<Deploy, BadField> {
    let v1::DeployRequest { environment, revision, request_id, expected_revision } = request;
    let environment = name(&environment)?;
    let revision = revision.ok_or(Problem::Missing).map_err(|problem| problem.at("revision"))?;
    bounded(&request_id, REQUEST_ID_BYTES_MAX).map_err(|problem| problem.at("request_id"))?;
    Ok(Deploy {
        environment,
        spec: revision::spec(revision).map_err(|bad| bad.within("revision"))?,
        request_id: Some(request_id).filter(|id| !id.is_empty()),
        expected_revision,
    })
}

/// A Logs.
pub fn logs(request: v1::LogsRequest) -> Result<Logs, BadField> {
    let v1::LogsRequest { environment, generation, tail, follow } = request;
    Ok(Logs {
        environment: name(&environment)?,
        generation: Some(generation).filter(|number| *number > 0),
        tail: Some(tail).filter(|lines| *lines > 0).and_then(|lines| usize::try_from(lines).ok()),
        then: if follow { AfterTail::Follow } else { AfterTail::End },
    })
}

/// A Stage.
pub fn stage(request: v1::StageRequest) -> Result<Stage, BadField> {
    let v1::StageRequest { artifacts, interpreter } = request;
    Ok(Stage { artifacts: revision::artifacts(artifacts)?, interpreter: revision::interpreter(interpreter)? })
}

/// A Rollback: where, and to which revision.
pub fn rollback(request: v1::RollbackRequest) -> Result<(EnvironmentName, Option<RevisionNumber>), BadField> {
    let v1::RollbackRequest { environment, to_revision } = request;
    Ok((name(&environment)?, Some(to_revision).filter(|number| *number > 0)))
}

/// The one environment that a Watch asks for, or all.
pub fn watch(request: v1::WatchRequest) -> Result<Option<EnvironmentName>, BadField> {
    let v1::WatchRequest { environment } = request;
    if environment.is_empty() { Ok(None) } else { name(&environment).map(Some) }
}

/// The field `environment` of any request.
pub fn name(environment: &str) -> Result<EnvironmentName, BadField> {
    if environment.is_empty() {
        return Err(Problem::Missing.at("environment"));
    }
    environment.parse().map_err(|bad| Problem::Name(bad).at("environment"))
}

#[cfg(test)]
mod tests;
