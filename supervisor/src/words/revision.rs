//! What an environment should run.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Digest, RevisionNumber};

/// A numbered revision, as it is journalled and never changed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number within the environment.
    pub number: RevisionNumber,
    /// What to run.
    pub spec: RevisionSpec,
    /// Identity of the container image when the revision was accepted.
    pub image: String,
}

/// The contents of a revision: everything that a repeat of the deploy needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionSpec {
    /// Pex files in pex order: dependencies first, the user's code last. Never empty.
    pub artifacts: Vec<ArtifactRef>,
    /// How the code server starts.
    pub command: Command,
    /// Environment variables on top of the fixed base.
    pub env: BTreeMap<String, String>,
    /// Limits of each generation.
    pub limits: Limits,
    /// The interpreter asked for; the first that fits when there is none.
    pub interpreter: Option<PathBuf>,
    /// From the start of the process until it is healthy.
    pub start_timeout: Duration,
    /// The service asked in grpc.health.v1.
    pub health_service: String,
    /// How long calls in flight may go on after the cut-over.
    pub drain_timeout: Duration,
    /// From SIGTERM to the kill of the cgroup.
    pub terminate_timeout: Duration,
    /// Free text for people.
    pub label: String,
}

impl RevisionSpec {
    /// Would the same run? Artifacts are told apart by digest: where one is to be had, such as a URL that was signed
    /// anew, is no part of what runs.
    pub fn has_contents_of(&self, other: &Self) -> bool {
        let digests = |spec: &Self| spec.artifacts.iter().map(|artifact| artifact.digest).collect::<Vec<_>>();
        let sources_apart = Self { artifacts: other.artifacts.clone(), ..self.clone() };
        digests(self) == digests(other) && sources_apart == *other
    }
}

/// One pex file and where it is to be had.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// Its name: the digest of its bytes.
    pub digest: Digest,
    /// Where the bytes are.
    pub source: ArtifactSource,
}

/// Where the bytes of an artifact are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactSource {
    /// `<store>/<sha256>.pex`.
    Store,
    /// `<store>/<name>`; relative, without `..`.
    Named(String),
    /// An `http://` or `https://` URL.
    Url(String),
}

/// How a code server is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// What is run.
    pub kind: CommandKind,
    /// Arguments after those of the kind.
    pub args: Vec<String>,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandKind {
    /// `python -m <module>`.
    Module(String),
    /// A console script by name.
    ConsoleScript(String),
    /// The entry point of the last artifact that has one.
    EntryPoint,
    /// `dagster api grpc`.
    Dagster(DagsterProfile),
}

/// Options of `dagster api grpc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DagsterProfile {
    /// Where the definitions are.
    pub code: DagsterCode,
    /// The attribute that holds them.
    pub attribute: Option<String>,
    /// Working directory, relative to the root of the user's code.
    pub working_directory: Option<String>,
    /// The name that the code location gives itself; the environment's when there is none.
    pub location_name: Option<String>,
}

/// Where Dagster finds the definitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DagsterCode {
    /// `--package-name`.
    Package(String),
    /// `--module-name`.
    Module(String),
    /// `--python-file`.
    PythonFile(String),
}

/// Limits of one generation; what is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory of the whole process tree.
    pub memory_bytes_max: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis_max: Option<u32>,
    /// 1 to 10000, as cgroup v2's cpu.weight.
    pub cpu_weight: Option<u32>,
    /// Processes and threads.
    pub pids_max: Option<u32>,
    /// Open files per process.
    pub open_files_max: Option<u32>,
    /// Bytes of scratch disk.
    pub scratch_bytes_max: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::samples;

    fn signed(digest: u8, signature: &str) -> RevisionSpec {
        let source = ArtifactSource::Url(format!("https://store/a.pex?signature={signature}"));
        RevisionSpec {
            artifacts: vec![ArtifactRef { digest: Digest::from_bytes([digest; 32]), source }],
            ..samples::spec()
        }
    }

    #[test]
    fn a_url_that_was_signed_anew_does_not_change_the_contents_and_everything_else_does() {
        assert!(signed(7, "old").has_contents_of(&signed(7, "new")));
        assert!(!signed(7, "old").has_contents_of(&signed(8, "old")));
        let relabelled = RevisionSpec { label: "other".to_owned(), ..signed(7, "old") };
        assert!(!signed(7, "old").has_contents_of(&relabelled));
    }
}
