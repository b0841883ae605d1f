//! The contents of a revision.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use pexvisor_proto::v1;
use prost_types::Duration as WireDuration;

use super::{
    command, environ,
    field::{BadField, Problem, bounded},
    limits,
};
use crate::words::{ArtifactRef, ArtifactSource, CommandKind, RevisionSpec};

/// More pexes than any one code server has been seen with; each is a directory on sys.path that every import searches.
const ARTIFACTS_MAX: usize = 16;
/// A presigned URL with a session token takes some 2 KiB; servers cut at 8.
const LOCATION_BYTES_MAX: usize = 8 << 10;
/// Free text for a list: a commit and a word about it.
const LABEL_BYTES_MAX: usize = 256;
/// PATH_MAX (limits.h).
const PATH_BYTES_MAX: usize = 4096;
/// A gRPC service name.
const SERVICE_BYTES_MAX: usize = 256;

/// Imports of a big project under a busy CPU; the slowest seen took 40 s.
const START_TIMEOUT_DEFAULT: Duration = Duration::from_secs(3 * 60);
const START_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// Dagster's longest metadata call (an external repository) ends within it.
const DRAIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
const DRAIN_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// What `docker stop` grants.
const TERMINATE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const TERMINATE_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// No process starts faster; less is a mistaken unit.
const START_TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// The service that Dagster's code server names in its health answers.
const DAGSTER_HEALTH_SERVICE: &str = "DagsterApi";

/// A RevisionSpec.
pub fn spec(spec: v1::RevisionSpec) -> Result<RevisionSpec, BadField> {
    let v1::RevisionSpec {
        artifacts: files,
        command,
        env,
        limits,
        interpreter: path,
        readiness,
        drain_timeout: drain,
        terminate_timeout: terminate,
        label,
    } = spec;
    let command = command.ok_or(Problem::Missing).map_err(|problem| problem.at("command"))?;
    let command = command::command(command).map_err(|bad| bad.within("command"))?;
    let (start_timeout, health_service) =
        ready(readiness.unwrap_or_default(), &command.kind).map_err(|bad| bad.within("readiness"))?;
    bounded(&label, LABEL_BYTES_MAX).map_err(|problem| problem.at("label"))?;
    let limits = limits::limits(limits.unwrap_or_default()).map_err(|bad| bad.within("limits"))?;
    Ok(RevisionSpec {
        artifacts: artifacts(files)?,
        command,
        env: environ::environ(env)?,
        limits,
        interpreter: interpreter(path)?,
        start_timeout,
        health_service,
        drain_timeout: drain_timeout(drain).map_err(|problem| problem.at("drain_timeout"))?,
        terminate_timeout: terminate_timeout(terminate).map_err(|problem| problem.at("terminate_timeout"))?,
        label,
    })
}

/// The artifacts of a revision or a Stage: 1 to 16, each once.
pub fn artifacts(artifacts: Vec<v1::Artifact>) -> Result<Vec<ArtifactRef>, BadField> {
    if artifacts.is_empty() {
        return Err(Problem::Missing.at("artifacts"));
    }
    if artifacts.len() > ARTIFACTS_MAX {
        return Err(Problem::Count { max: ARTIFACTS_MAX, got: artifacts.len() }.at("artifacts"));
    }
    let mut seen = BTreeSet::new();
    let mut parsed = Vec::with_capacity(artifacts.len());
    for (index, artifact) in artifacts.into_iter().enumerate() {
        let at = |field: &str| format!("artifacts[{index}].{field}");
        let v1::Artifact { sha256, location } = artifact;
        let digest = sha256.parse().map_err(|bad| Problem::Digest(bad).at(at("sha256")))?;
        if !seen.insert(digest) {
            return Err(Problem::shape("must not name an artifact twice", &sha256).at(at("sha256")));
        }
        let source = source(location).map_err(|problem| problem.at(at("location")))?;
        parsed.push(ArtifactRef { digest, source });
    }
    Ok(parsed)
}

/// An interpreter's path; empty for none.
pub fn interpreter(path: String) -> Result<Option<PathBuf>, BadField> {
    if path.is_empty() {
        return Ok(None);
    }
    let rule = "must be an absolute path, such as /usr/bin/python3.11, or empty";
    let shape = if path.starts_with('/') { Ok(()) } else { Err(Problem::shape(rule, &path)) };
    shape.and_then(|()| bounded(&path, PATH_BYTES_MAX)).map_err(|problem| problem.at("interpreter"))?;
    Ok(Some(path.into()))
}

fn source(location: String) -> Result<ArtifactSource, Problem> {
    bounded(&location, LOCATION_BYTES_MAX)?;
    if location.is_empty() {
        return Ok(ArtifactSource::Store);
    }
    if location.starts_with("http://") || location.starts_with("https://") {
        return url(location);
    }
    let outside = location.split('/').any(|part| matches!(part, "" | "." | ".."));
    if outside || location.contains("://") || location.contains(char::is_control) {
        let rule = "must be empty, a relative name inside the store without . or .., or an http:// or https:// URL";
        return Err(Problem::shape(rule, &location));
    }
    Ok(ArtifactSource::Named(location))
}

fn url(location: String) -> Result<ArtifactSource, Problem> {
    match location.parse::<http::Uri>() {
        Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(ArtifactSource::Url(location)),
        // A presigned URL is a secret: the message does not repeat it.
        _ => Err(Problem::shape("must be a complete URL, with special characters percent-encoded", "…")),
    }
}

fn ready(readiness: v1::Readiness, kind: &CommandKind) -> Result<(Duration, String), BadField> {
    let v1::Readiness { start_timeout: start, health_service } = readiness;
    bounded(&health_service, SERVICE_BYTES_MAX).map_err(|problem| problem.at("health_service"))?;
    let service = match kind {
        CommandKind::Dagster(_) if health_service.is_empty() => DAGSTER_HEALTH_SERVICE.to_owned(),
        CommandKind::Dagster(_) | CommandKind::Module(_) | CommandKind::ConsoleScript(_) | CommandKind::EntryPoint => {
            health_service
        }
    };
    let timeout = duration(start, START_TIMEOUT_DEFAULT, START_TIMEOUT_MIN, START_TIMEOUT_MAX);
    Ok((timeout.map_err(|problem| problem.at("start_timeout"))?, service))
}

fn drain_timeout(wire: Option<WireDuration>) -> Result<Duration, Problem> {
    duration(wire, DRAIN_TIMEOUT_DEFAULT, Duration::ZERO, DRAIN_TIMEOUT_MAX)
}

fn terminate_timeout(wire: Option<WireDuration>) -> Result<Duration, Problem> {
    duration(wire, TERMINATE_TIMEOUT_DEFAULT, Duration::ZERO, TERMINATE_TIMEOUT_MAX)
}

fn duration(wire: Option<WireDuration>, default: Duration, min: Duration, max: Duration) -> Result<Duration, Problem> {
    let Some(WireDuration { seconds, nanos }) = wire else { return Ok(default) };
    let parsed = exact(seconds, nanos).filter(|duration| (min..=max).contains(duration));
    parsed.ok_or_else(|| Problem::Duration { min, max, got: format!("{seconds} s {nanos} ns") })
}

/// By hand, because prost's own conversion of a Duration panics on `i64::MIN` seconds in a debug build.
fn exact(seconds: i64, nanos: i32) -> Option<Duration> {
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(seconds).ok()?, nanos))
}
