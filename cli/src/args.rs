//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Parser, Subcommand};

use crate::{
    address::{self, ControlAddress},
    deploy::{GivenArtifact, GivenVariable},
    error::{EXIT_CODES, Problem},
    units,
};

/// The variable that the supervisor itself reads: where it is set, pexctl needs no flag.
const SUPERVISORS_VARIABLE: &str = "PEXVISOR_CONTROL";

/// Deploys pex files to a running pexvisor and looks at it.
#[derive(Debug, Parser)]
#[command(name = "pexctl", version, after_help = EXIT_CODES)]
pub struct Args {
    /// Where the control API listens: unix:/path, http://host:port or host:port. Without it PEXVISOR_CONTROL, then
    /// unix:/var/lib/pexvisor/control/control.sock
    #[arg(long, global = true, env = "PEXCTL_CONTROL", value_name = "ADDRESS")]
    control: Option<ControlAddress>,
    /// Print one JSON object per line, with the field names of the API
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make pex files the ones that an environment runs, and follow until they serve
    Deploy(Box<DeployArgs>),
    /// List all environments
    List,
    /// Show one environment in full
    Status {
        /// Its name
        environment: String,
    },
    /// Show what the code servers of an environment wrote
    Logs(LogsArgs),
    /// Print a line for every change of one or all environments, until interrupted
    Watch {
        /// Its name; all environments without it
        environment: Option<String>,
    },
    /// Drain and terminate an environment; it stays stopped until the next deploy, restart or rollback
    Stop {
        /// Its name
        environment: String,
    },
    /// Stop an environment and forget it
    Remove {
        /// Its name
        environment: String,
    },
    /// Start a new generation beside the serving one, and cut over
    Restart {
        /// Its name
        environment: String,
    },
    /// Deploy the contents of an earlier revision again, from what is on disk
    Rollback {
        /// The environment's name
        environment: String,
        /// The revision to go back to; the one that served before, without it
        #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
        to: u64,
    },
    /// Fetch and install artifacts ahead of a deploy
    Stage {
        /// As for deploy
        #[arg(long = "artifact", required = true, value_name = "FILE|SHA256[@LOCATION]")]
        artifacts: Vec<GivenArtifact>,
        /// As for deploy
        #[arg(long, value_name = "DIR")]
        store_dir: Option<PathBuf>,
        /// As for deploy
        #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
        interpreter: String,
    },
    /// Describe the supervisor: version, capacity, interpreters, what is enforced and cached
    Describe,
}

/// `pexctl deploy`.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("command").required(true).args(
    ["module", "console_script", "entry_point", "package_name", "module_name", "python_file"]))]
pub struct DeployArgs {
    /// The environment's name: a-z, 0-9 and -, starting with a letter
    pub environment: String,
    /// A pex file, or the sha256 of one that the store has, with @ a location there or a URL. Give it once for each,
    /// dependencies first
    #[arg(long = "artifact", required = true, value_name = "FILE|SHA256[@LOCATION]")]
    pub artifacts: Vec<GivenArtifact>,
    /// Copy the files into this directory, the supervisor's store, as SHA256.pex
    #[arg(long, value_name = "DIR")]
    pub store_dir: Option<PathBuf>,

    /// Run `python -m MODULE`
    #[arg(long, help_heading = "Command (one of)")]
    pub module: Option<String>,
    /// Run a console script of one of the artifacts
    #[arg(long, value_name = "NAME", help_heading = "Command (one of)")]
    pub console_script: Option<String>,
    /// Run the entry point of the last artifact that has one
    #[arg(long, help_heading = "Command (one of)")]
    pub entry_point: bool,
    /// Run `dagster api grpc` on a package
    #[arg(long, value_name = "PACKAGE", help_heading = "Command (one of)")]
    pub package_name: Option<String>,
    /// Run `dagster api grpc` on a module
    #[arg(long, value_name = "MODULE", help_heading = "Command (one of)")]
    pub module_name: Option<String>,
    /// Run `dagster api grpc` on a Python file
    #[arg(long, value_name = "FILE", help_heading = "Command (one of)")]
    pub python_file: Option<String>,
    /// Arguments of the command; $PEXVISOR_SOCKET in them becomes the socket's path
    #[arg(last = true)]
    pub args: Vec<String>,

    /// The attribute that holds the definitions
    #[arg(long, default_value = "", hide_default_value = true, help_heading = "Dagster")]
    pub attribute: String,
    /// Working directory, relative to the root of the user's code
    #[arg(long, default_value = "", hide_default_value = true, value_name = "DIR", help_heading = "Dagster")]
    pub working_directory: String,
    /// The name that the code location gives itself; the environment's without it
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME", help_heading = "Dagster")]
    pub location_name: String,

    /// An environment variable; NAME alone takes its value from pexctl's own
    #[arg(long = "env", short = 'e', value_name = "NAME[=VALUE]")]
    pub env: Vec<GivenVariable>,
    /// The Python to run, a path in the container; the first that fits, without it
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    pub interpreter: String,
    /// Free text to show people, for example a commit
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub label: String,
    /// Makes a repeat of this command follow the same deploy
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub request_id: String,
    /// Deploy only if this is the newest revision; 0 if there must be none yet
    #[arg(long, value_name = "REVISION")]
    pub expected_revision: Option<u64>,
    /// End as soon as the deploy is accepted
    #[arg(long)]
    pub no_wait: bool,

    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub times: TimeArgs,
}

/// Limits of each generation.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits (none without the flag)")]
pub struct LimitArgs {
    /// Memory of the whole process tree, such as 512M
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
    pub memory: Option<u64>,
    /// Cores, such as 1.5
    #[arg(long, value_name = "CORES", value_parser = units::parse_cpu)]
    pub cpu: Option<u32>,
    /// Share of CPU under contention, 1 to 10000
    #[arg(long, value_name = "WEIGHT")]
    pub cpu_weight: Option<u32>,
    /// Processes and threads
    #[arg(long, value_name = "COUNT")]
    pub pids: Option<u32>,
    /// Open files per process
    #[arg(long, value_name = "COUNT")]
    pub open_files: Option<u32>,
    /// Scratch disk, such as 1G
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
    pub scratch: Option<u64>,
}

/// How long each step may take.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Times (such as 90s)")]
pub struct TimeArgs {
    /// From the start of the process until it is healthy [default: 3m]
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    pub start_timeout: Option<Duration>,
    /// For calls in flight after the cut-over [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    pub drain_timeout: Option<Duration>,
    /// From SIGTERM to the kill [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    pub terminate_timeout: Option<Duration>,
    /// The service asked in grpc.health.v1 [default: the whole server]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub health_service: String,
}

/// `pexctl logs`.
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// The environment's name
    pub environment: String,
    /// Go on with new lines until interrupted
    #[arg(long, short)]
    pub follow: bool,
    /// The last lines only
    #[arg(long, short = 'n', value_name = "LINES", default_value_t = 0, hide_default_value = true)]
    pub tail: u32,
    /// One generation only
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    pub generation: u64,
    /// Begin each line with its time, generation and stream
    #[arg(long, short)]
    pub timestamps: bool,
}

impl Args {
    /// The control address: the flag, pexctl's variable, the supervisor's variable, the default.
    pub fn control(&self) -> Result<ControlAddress, Problem> {
        if let Some(given) = &self.control {
            return Ok(given.clone());
        }
        let text = std::env::var(SUPERVISORS_VARIABLE).unwrap_or_else(|_| address::DEFAULT.to_owned());
        text.parse().map_err(|bad| Problem::Usage(format!("{SUPERVISORS_VARIABLE}: {bad}")))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_deploy_names_exactly_one_command() {
        let artifact = format!("pexctl deploy etl --artifact {}", "07".repeat(32));
        assert!(parse(&format!("{artifact} --module m")).is_ok());
        assert!(parse(&artifact).is_err(), "none");
        assert!(parse(&format!("{artifact} --module m --entry-point")).is_err(), "two");
    }

    #[test]
    fn everything_after_two_dashes_goes_to_the_code_server() {
        let line = format!("pexctl deploy etl --artifact {} --entry-point -- --json -x", "07".repeat(32));
        let args = parse(&line).expect("a good command line");
        let Command::Deploy(deploy) = args.command else { panic!("it is a deploy") };
        assert_eq!(deploy.args, ["--json", "-x"]);
        assert!(!args.json);
    }

    #[test]
    fn the_help_shows_the_exit_codes() {
        assert!(Args::command().render_long_help().to_string().contains("6  a newer deploy"));
    }
}
