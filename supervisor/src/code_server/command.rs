//! From a revision's command to a command line.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::Place;
use crate::words::{CommandKind, DagsterCode, DagsterProfile, Failure, FailureReason, RevisionSpec};

/// In an argument, stands for the path of the socket.
const SOCKET_VARIABLE: &str = "$PEXVISOR_SOCKET";

/// The composed artifacts of a revision, ready to run.
#[derive(Clone, Debug, Default)]
pub struct Composition {
    /// The composition's directory.
    pub venv: PathBuf,
    /// The interpreter in it.
    pub python: PathBuf,
    /// Names in `bin/` that are console scripts.
    pub console_scripts: BTreeSet<String>,
    /// Has an artifact an entry point?
    pub has_entry_point: bool,
    /// Roots of the user's code, in the order of sys.path.
    pub sources: Vec<PathBuf>,
    /// The folder `root` of a package `working_directory`.
    pub working_directory: Option<PathBuf>,
    /// Variables that the artifacts ask for.
    pub inject_env: BTreeMap<String, String>,
}

/// A command line and where it runs.
#[derive(Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The interpreter.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Working directory.
    pub cwd: PathBuf,
}

/// Builds the command line, or says why the command cannot be run.
pub fn command_line(spec: &RevisionSpec, composition: &Composition, place: &Place) -> Result<CommandLine, Failure> {
    let mut cwd = composition.working_directory.clone().unwrap_or_else(|| place.scratch.clone());
    let mut args: Vec<String> = match &spec.command.kind {
        CommandKind::Module(module) => vec!["-m".into(), module.clone()],
        CommandKind::ConsoleScript(name) => vec![text(&console_script(composition, name)?)],
        CommandKind::EntryPoint => vec![text(&entry_point(composition)?)],
        CommandKind::Dagster(profile) => {
            if let Some(directory) = &profile.working_directory {
                cwd = working_directory(composition, directory)?;
            }
            dagster(profile, &cwd, place)
        }
    };
    args.extend(spec.command.args.iter().map(|arg| with_socket(arg, place)));
    Ok(CommandLine { program: composition.python.clone(), args, cwd })
}

fn console_script(composition: &Composition, name: &str) -> Result<PathBuf, Failure> {
    if composition.console_scripts.contains(name) {
        return Ok(composition.venv.join("bin").join(name));
    }
    let known: Vec<_> = composition.console_scripts.iter().take(20).map(String::as_str).collect();
    Err(bad(format!("no artifact has a console script {name:?}; there are: {}", known.join(", "))))
}

fn entry_point(composition: &Composition) -> Result<PathBuf, Failure> {
    if composition.has_entry_point {
        return Ok(composition.venv.join("__main__.py"));
    }
    Err(bad(
        "no artifact has an entry point; build one with `pex -m MODULE` or `pex -c SCRIPT`, or deploy with a module"
            .into(),
    ))
}

fn working_directory(composition: &Composition, relative: &str) -> Result<PathBuf, Failure> {
    let found = composition.sources.iter().map(|root| root.join(relative)).find(|path| path.is_dir());
    found.ok_or_else(|| bad(format!("no artifact's sources hold the working directory {relative:?}")))
}

fn dagster(profile: &DagsterProfile, cwd: &Path, place: &Place) -> Vec<String> {
    let (option, code) = match &profile.code {
        DagsterCode::Package(name) => ("--package-name", name),
        DagsterCode::Module(name) => ("--module-name", name),
        DagsterCode::PythonFile(path) => ("--python-file", path),
    };
    let location = profile.location_name.as_deref().unwrap_or(place.environment.as_str());
    let mut args: Vec<String> = ["-m", "dagster", "api", "grpc", "--socket"].map(Into::into).into();
    args.push(text(&place.socket));
    args.extend([option, code.as_str(), "--location-name", location].map(Into::into));
    if let Some(attribute) = &profile.attribute {
        args.extend(["--attribute", attribute.as_str()].map(Into::into));
    }
    if profile.working_directory.is_some() {
        args.extend(["--working-directory".into(), text(cwd)]);
    }
    args
}

fn with_socket(arg: &str, place: &Place) -> String {
    arg.replace(SOCKET_VARIABLE, &text(&place.socket))
}

/// A path of ours: UTF-8, because the state directory's is checked to be.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn bad(message: String) -> Failure {
    Failure::new(FailureReason::BadCommand, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Command, samples};

    fn line(kind: CommandKind, args: &[&str]) -> Result<CommandLine, Failure> {
        let composition = Composition {
            venv: "/venv".into(),
            python: "/venv/bin/python".into(),
            console_scripts: ["serve".to_owned()].into(),
            sources: vec!["/".into()],
            ..Composition::default()
        };
        let place = Place::of(Path::new("/state"), &"etl".parse().expect("a name"), 7);
        command_line(&spec(kind, args), &composition, &place)
    }

    fn spec(kind: CommandKind, args: &[&str]) -> RevisionSpec {
        let args = args.iter().map(ToString::to_string).collect();
        RevisionSpec { command: Command { kind, args }, ..samples::spec() }
    }

    #[test]
    fn a_module_runs_under_the_compositions_python_with_the_socket_filled_in() {
        let line = line(CommandKind::Module("app".into()), &["--bind", "unix:$PEXVISOR_SOCKET"]).expect("fine");
        assert_eq!(line.program, Path::new("/venv/bin/python"));
        let socket = Place::of(Path::new("/state"), &"etl".parse().expect("a name"), 7).socket;
        assert_eq!(line.args, ["-m", "app", "--bind", &format!("unix:{}", socket.display())]);
    }

    #[test]
    fn what_is_not_in_the_artifacts_is_refused_by_name() {
        let missing = line(CommandKind::ConsoleScript("serv".into()), &[]).expect_err("no such script");
        assert_eq!(missing.reason, FailureReason::BadCommand);
        assert!(missing.message.contains("\"serv\"") && missing.message.contains("there are: serve"));
        let none = line(CommandKind::EntryPoint, &[]).expect_err("no entry point");
        assert!(none.message.contains("entry point"));
    }

    #[test]
    fn the_dagster_profile_names_socket_code_and_location() {
        let profile = DagsterProfile {
            code: DagsterCode::Package("etl_code".into()),
            attribute: Some("defs".into()),
            working_directory: Some("tmp".into()),
            location_name: None,
        };
        let line = line(CommandKind::Dagster(profile), &[]).expect("fine");
        let text = line.args.join(" ");
        assert!(text.starts_with("-m dagster api grpc --socket /state/run/"), "{text}");
        assert!(text.contains("--package-name etl_code --location-name etl --attribute defs"), "{text}");
        assert!(text.ends_with("--working-directory /tmp"), "{text}");
        assert_eq!(line.cwd, Path::new("/tmp"));
    }
}
