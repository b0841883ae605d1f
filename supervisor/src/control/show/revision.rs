//! The contents of a revision, so that what is shown can be deployed again as it is.

use pexvisor_proto::v1;

use super::duration;
use crate::words::{
    ArtifactRef, ArtifactSource, Command, CommandKind, DagsterCode, DagsterProfile, Limits, RevisionSpec,
};

/// A RevisionSpec.
pub fn spec(spec: RevisionSpec) -> v1::RevisionSpec {
    let RevisionSpec {
        artifacts,
        command: how,
        env,
        limits: bounds,
        interpreter,
        start_timeout,
        health_service,
        drain_timeout,
        terminate_timeout,
        label,
    } = spec;
    v1::RevisionSpec {
        artifacts: artifacts.into_iter().map(artifact).collect(),
        command: Some(command(how)),
        env: env.into_iter().collect(),
        limits: Some(limits(bounds)),
        interpreter: interpreter.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
        readiness: Some(v1::Readiness { start_timeout: Some(duration(start_timeout)), health_service }),
        drain_timeout: Some(duration(drain_timeout)),
        terminate_timeout: Some(duration(terminate_timeout)),
        label,
    }
}

fn artifact(artifact: ArtifactRef) -> v1::Artifact {
    let ArtifactRef { digest, source } = artifact;
    let location = match source {
        ArtifactSource::Store => String::new(),
        ArtifactSource::Named(name) => name,
        ArtifactSource::Url(url) => without_query(&url),
    };
    v1::Artifact { sha256: digest.into(), location }
}

/// The query of a presigned URL is a key to the store: whoever may look at an environment is not given it.
fn without_query(url: &str) -> String {
    let (base, _) = url.split_once('?').unwrap_or((url, ""));
    base.to_owned()
}

fn command(command: Command) -> v1::Command {
    let Command { kind, args } = command;
    let kind = match kind {
        CommandKind::Module(module) => v1::command::Kind::Module(module),
        CommandKind::ConsoleScript(script) => v1::command::Kind::ConsoleScript(script),
        CommandKind::EntryPoint => v1::command::Kind::EntryPoint(true),
        CommandKind::Dagster(profile) => v1::command::Kind::Dagster(dagster(profile)),
    };
    v1::Command { kind: Some(kind), args }
}

fn dagster(profile: DagsterProfile) -> v1::DagsterProfile {
    let DagsterProfile { code, attribute, working_directory, location_name } = profile;
    let mut shown = v1::DagsterProfile {
        attribute: attribute.unwrap_or_default(),
        working_directory: working_directory.unwrap_or_default(),
        location_name: location_name.unwrap_or_default(),
        ..Default::default()
    };
    match code {
        DagsterCode::Package(name) => shown.package_name = name,
        DagsterCode::Module(name) => shown.module_name = name,
        DagsterCode::PythonFile(path) => shown.python_file = path,
    }
    shown
}

fn limits(limits: Limits) -> v1::Limits {
    let Limits { memory_bytes_max, cpu_millis_max, cpu_weight, pids_max, open_files_max, scratch_bytes_max } = limits;
    v1::Limits {
        memory_bytes_max: memory_bytes_max.unwrap_or(0),
        cpu_millis_max: cpu_millis_max.unwrap_or(0),
        cpu_weight: cpu_weight.unwrap_or(0),
        pids_max: pids_max.unwrap_or(0),
        open_files_max: open_files_max.unwrap_or(0),
        scratch_bytes_max: scratch_bytes_max.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::parse,
        words::{self, samples},
    };

    /// Every field away from its default.
    fn full() -> words::RevisionSpec {
        let profile = DagsterProfile {
            code: DagsterCode::PythonFile("repo.py".to_owned()),
            attribute: Some("defs".to_owned()),
            working_directory: Some("etl".to_owned()),
            location_name: Some("Sales".to_owned()),
        };
        let limits = Limits {
            memory_bytes_max: Some(1 << 30),
            cpu_millis_max: Some(1500),
            cpu_weight: Some(50),
            pids_max: Some(200),
            open_files_max: Some(1000),
            scratch_bytes_max: Some(1 << 20),
        };
        let mut spec = samples::spec();
        spec.artifacts[0].source = ArtifactSource::Named("v1/deps.pex".to_owned());
        let command = Command { kind: CommandKind::Dagster(profile), args: vec!["--x".to_owned()] };
        let env = [("A".to_owned(), "1".to_owned())].into();
        let interpreter = Some("/usr/bin/python3.11".into());
        words::RevisionSpec { command, env, limits, interpreter, health_service: "x".to_owned(), ..spec }
    }

    #[test]
    fn what_is_shown_deploys_as_the_same_revision() {
        for original in [samples::spec(), full()] {
            let revision = Some(spec(original.clone()));
            let request = v1::DeployRequest { environment: "etl".to_owned(), revision, ..Default::default() };
            assert_eq!(parse::deploy(request).expect("shown specs are good").spec, original);
        }
    }

    #[test]
    fn the_signature_of_a_url_is_not_shown() {
        let mut signed = samples::spec();
        signed.artifacts[0].source = ArtifactSource::Url("https://host/a.pex?X-Amz-Signature=secret".to_owned());
        assert_eq!(spec(signed).artifacts[0].location, "https://host/a.pex");
    }
}
