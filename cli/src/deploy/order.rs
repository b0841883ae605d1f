//! The request that a command line stands for. The supervisor judges the values; only their form is looked at here.

use std::str::FromStr;

use pexvisor_proto::v1::{self, command::Kind};

use super::{FileNames, resolve};
use crate::{
    args::{DeployArgs, LimitArgs, TimeArgs},
    error::Problem,
};

/// `NAME=VALUE`, or `NAME` for the value in pexctl's own environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenVariable {
    name: String,
    value: String,
}

impl FromStr for GivenVariable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => {
                let missing = |_| format!("{text} has no value here; write {text}=VALUE");
                (text.to_owned(), std::env::var(text).map_err(missing)?)
            }
        };
        if name.is_empty() { Err("use NAME=VALUE".to_owned()) } else { Ok(Self { name, value }) }
    }
}

/// The request, and what to call its artifacts.
pub fn order(args: DeployArgs) -> Result<(v1::DeployRequest, FileNames), Problem> {
    let (artifacts, names) = resolve(&args.artifacts, args.store_dir.as_deref())?;
    let command = Some(command(&args));
    let DeployArgs { environment, env, interpreter, label, request_id, expected_revision, limits, times, .. } = args;
    let TimeArgs { start_timeout, drain_timeout, terminate_timeout, health_service } = times;
    let revision = v1::RevisionSpec {
        artifacts,
        command,
        env: env.into_iter().map(|variable| (variable.name, variable.value)).collect(),
        limits: Some(self::limits(&limits)),
        interpreter,
        readiness: Some(v1::Readiness { start_timeout: wire(start_timeout)?, health_service }),
        drain_timeout: wire(drain_timeout)?,
        terminate_timeout: wire(terminate_timeout)?,
        label,
    };
    let revision = Some(revision);
    Ok((v1::DeployRequest { environment, revision, request_id, expected_revision }, names))
}

fn command(args: &DeployArgs) -> v1::Command {
    let given = args.module.clone().map(Kind::Module);
    let script = || args.console_script.clone().map(Kind::ConsoleScript);
    let entry_point = || args.entry_point.then_some(Kind::EntryPoint(true));
    let kind = given.or_else(script).or_else(entry_point).unwrap_or_else(|| Kind::Dagster(dagster(args)));
    v1::Command { kind: Some(kind), args: args.args.clone() }
}

fn dagster(args: &DeployArgs) -> v1::DagsterProfile {
    v1::DagsterProfile {
        package_name: args.package_name.clone().unwrap_or_default(),
        module_name: args.module_name.clone().unwrap_or_default(),
        python_file: args.python_file.clone().unwrap_or_default(),
        attribute: args.attribute.clone(),
        working_directory: args.working_directory.clone(),
        location_name: args.location_name.clone(),
    }
}

fn limits(limits: &LimitArgs) -> v1::Limits {
    let LimitArgs { memory, cpu, cpu_weight, pids, open_files, scratch } = *limits;
    v1::Limits {
        memory_bytes_max: memory.unwrap_or(0),
        cpu_millis_max: cpu.unwrap_or(0),
        cpu_weight: cpu_weight.unwrap_or(0),
        pids_max: pids.unwrap_or(0),
        open_files_max: open_files.unwrap_or(0),
        scratch_bytes_max: scratch.unwrap_or(0),
    }
}

fn wire(duration: Option<std::time::Duration>) -> Result<Option<prost_types::Duration>, Problem> {
    let too_long = |_| Problem::Usage("use a duration of at most an hour".to_owned());
    duration.map(prost_types::Duration::try_from).transpose().map_err(too_long)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn ordered(flags: &str) -> v1::RevisionSpec {
        let line = format!("pexctl deploy etl --artifact {} {flags}", "07".repeat(32));
        let args = Args::try_parse_from(line.split_whitespace()).expect("a good command line");
        let Command::Deploy(deploy) = args.command else { panic!("it is a deploy") };
        order(*deploy).expect("nothing to read").0.revision.expect("there is one")
    }

    #[test]
    fn each_flag_of_the_command_gives_its_kind() {
        let kind = |flags: &str| ordered(flags).command.and_then(|command| command.kind).expect("there is one");
        assert_eq!(kind("--module m"), Kind::Module("m".to_owned()));
        assert_eq!(kind("--console-script s"), Kind::ConsoleScript("s".to_owned()));
        assert_eq!(kind("--entry-point"), Kind::EntryPoint(true));
        let Kind::Dagster(profile) = kind("--package-name my_etl --attribute defs") else { panic!("it is dagster") };
        assert_eq!((profile.package_name.as_str(), profile.attribute.as_str()), ("my_etl", "defs"));
    }

    #[test]
    fn limits_times_and_variables_reach_the_request() {
        let spec = ordered("--module m --memory 1G --cpu 0.5 --drain-timeout 0 -e A=1=2 -e B=");
        let limits = spec.limits.expect("there are some");
        assert_eq!((limits.memory_bytes_max, limits.cpu_millis_max, limits.pids_max), (1 << 30, 500, 0));
        assert_eq!(spec.drain_timeout, Some(prost_types::Duration::default()), "0 is said, not left out");
        assert_eq!(spec.terminate_timeout, None);
        assert_eq!((spec.env["A"].as_str(), spec.env["B"].as_str()), ("1=2", ""));
    }

    #[test]
    fn a_variable_without_value_must_be_set_here() {
        assert!("NO_SUCH_VARIABLE_HERE".parse::<GivenVariable>().is_err());
        assert!("=x".parse::<GivenVariable>().is_err());
        assert_eq!("PATH".parse::<GivenVariable>().map(|it| it.value), Ok(std::env::var("PATH").expect("set")));
    }
}
