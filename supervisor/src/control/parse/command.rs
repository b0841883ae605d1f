//! How a code server is started.

use pexvisor_proto::v1::{self, command::Kind};

use super::field::{BadField, Problem, bounded, word};
use crate::words::{Command, CommandKind, DagsterCode, DagsterProfile};

/// Longest name of a module, a script or an attribute in bytes: NAME_MAX (limits.h) for the script's file.
const NAME_BYTES_MAX: usize = 255;
/// Longest path in bytes: PATH_MAX (limits.h).
const PATH_BYTES_MAX: usize = 4096;
/// Arguments in number: a mistake or an attack beyond it.
const ARGS_MAX: usize = 1024;
/// One argument in bytes: below the kernel's MAX_ARG_STRLEN of 128 KiB (execve(2)).
const ARG_BYTES_MAX: usize = 64 << 10;
/// All arguments in bytes: with the environment variables far below the kernel's 6 MiB (execve(2)).
const ARGS_BYTES_MAX: usize = 256 << 10;

/// A Command.
pub fn command(command: v1::Command) -> Result<Command, BadField> {
    let v1::Command { kind, args } = command;
    let missing = || Problem::OneOf("module, console_script, entry_point and dagster").at("kind");
    let kind = match kind.ok_or_else(missing)? {
        Kind::Module(module) => CommandKind::Module(name(module).map_err(|problem| problem.at("module"))?),
        Kind::ConsoleScript(script) => {
            CommandKind::ConsoleScript(file_name(script).map_err(|problem| problem.at("console_script"))?)
        }
        Kind::EntryPoint(true) => CommandKind::EntryPoint,
        Kind::EntryPoint(false) => return Err(Problem::shape("must be true when it is set", "false").at("entry_point")),
        Kind::Dagster(profile) => CommandKind::Dagster(dagster(profile).map_err(|bad| bad.within("dagster"))?),
    };
    check_args(&args)?;
    Ok(Command { kind, args })
}

fn dagster(profile: v1::DagsterProfile) -> Result<DagsterProfile, BadField> {
    let v1::DagsterProfile { package_name, module_name, python_file, attribute, working_directory, location_name } =
        profile;
    let directory = optional(working_directory, relative_path).map_err(|problem| problem.at("working_directory"))?;
    Ok(DagsterProfile {
        code: code(package_name, module_name, python_file)?,
        attribute: optional(attribute, name).map_err(|problem| problem.at("attribute"))?,
        working_directory: directory,
        location_name: optional(location_name, name).map_err(|problem| problem.at("location_name"))?,
    })
}

fn code(package: String, module: String, file: String) -> Result<DagsterCode, BadField> {
    match (package.is_empty(), module.is_empty(), file.is_empty()) {
        (false, true, true) => name(package).map(DagsterCode::Package).map_err(|problem| problem.at("package_name")),
        (true, false, true) => name(module).map(DagsterCode::Module).map_err(|problem| problem.at("module_name")),
        (true, true, false) => path(file).map(DagsterCode::PythonFile).map_err(|problem| problem.at("python_file")),
        _ => Err(Problem::OneOf("package_name, module_name and python_file").at("package_name")),
    }
}

fn check_args(args: &[String]) -> Result<(), BadField> {
    if args.len() > ARGS_MAX {
        return Err(Problem::Count { max: ARGS_MAX, got: args.len() }.at("args"));
    }
    for (index, arg) in args.iter().enumerate() {
        bounded(arg, ARG_BYTES_MAX).map_err(|problem| problem.at(format!("args[{index}]")))?;
    }
    match args.iter().map(String::len).sum::<usize>() {
        got if got > ARGS_BYTES_MAX => Err(Problem::Text { max: ARGS_BYTES_MAX, got }.at("args")),
        _ => Ok(()),
    }
}

fn optional(text: String, check: impl FnOnce(String) -> Result<String, Problem>) -> Result<Option<String>, Problem> {
    if text.is_empty() { Ok(None) } else { check(text).map(Some) }
}

fn name(text: String) -> Result<String, Problem> {
    word(&text, NAME_BYTES_MAX).map(|()| text)
}

fn path(text: String) -> Result<String, Problem> {
    word(&text, PATH_BYTES_MAX).map(|()| text)
}

fn file_name(text: String) -> Result<String, Problem> {
    word(&text, NAME_BYTES_MAX)?;
    if text.contains('/') || text == "." || text == ".." {
        return Err(Problem::shape("must be the name of a script, not a path", &text));
    }
    Ok(text)
}

fn relative_path(text: String) -> Result<String, Problem> {
    word(&text, PATH_BYTES_MAX)?;
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(Problem::shape("must be relative to the user's code, without ..", &text));
    }
    Ok(text)
}
