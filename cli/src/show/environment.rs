//! One environment in full, for a person.

use std::fmt::{self, Write};

use pexvisor_proto::v1;

use super::{sentence, words};

/// An environment with its generations, contents and last failure.
pub fn environment(environment: &v1::Environment) -> String {
    let mut text = String::new();
    write(&mut text, environment).expect("a String takes every write");
    text
}

fn write(text: &mut String, environment: &v1::Environment) -> fmt::Result {
    let since = words::age(environment.phase_since.as_ref());
    writeln!(text, "environment  {}", environment.name)?;
    writeln!(text, "phase        {} for {since}", words::phase(environment.phase()))?;
    writeln!(text, "revisions    {}", revisions(environment))?;
    writeln!(text, "restarts     {}", environment.restarts)?;
    if let Some(next) = &environment.next_restart {
        writeln!(text, "next restart {}", words::clock(Some(next)))?;
    }
    writeln!(text, "socket       {}", environment.socket)?;
    if let Some(revision) = &environment.revision {
        write_revision(text, revision, &environment.image)?;
    }
    for generation in &environment.generations {
        writeln!(text, "generation   {}", self::generation(generation))?;
    }
    if let Some(failure) = &environment.last_failure {
        writeln!(text, "last failure {}: {}", words::reason(failure.reason()), failure.message)?;
        text.push_str(&sentence::failure(failure));
    }
    Ok(())
}

fn revisions(environment: &v1::Environment) -> String {
    format!(
        "serving {}, deploying {}, newest {}, rollback goes to {}",
        words::number(environment.serving_revision),
        words::number(environment.deploying_revision),
        words::number(environment.newest_revision),
        words::number(environment.previous_revision)
    )
}

fn write_revision(text: &mut String, revision: &v1::RevisionSpec, image: &str) -> fmt::Result {
    if let Some(command) = &revision.command {
        writeln!(text, "command      {}", self::command(command))?;
    }
    for v1::Artifact { sha256, location } in &revision.artifacts {
        writeln!(text, "artifact     {}", format!("{sha256} {location}").trim_end())?;
    }
    for (name, value) in [("label", revision.label.as_str()), ("image", image)] {
        if !value.is_empty() {
            writeln!(text, "{name:12} {value}")?;
        }
    }
    Ok(())
}

fn command(command: &v1::Command) -> String {
    let v1::Command { kind, args } = command;
    let kind = match kind {
        Some(v1::command::Kind::Module(module)) => format!("python -m {module}"),
        Some(v1::command::Kind::ConsoleScript(script)) => script.clone(),
        Some(v1::command::Kind::EntryPoint(_)) => "(entry point)".to_owned(),
        Some(v1::command::Kind::Dagster(profile)) => dagster(profile),
        None => "(none)".to_owned(),
    };
    std::iter::once(kind).chain(args.iter().cloned()).collect::<Vec<_>>().join(" ")
}

fn dagster(profile: &v1::DagsterProfile) -> String {
    let v1::DagsterProfile { package_name, module_name, python_file, attribute, working_directory, location_name } =
        profile;
    let options = [
        ("package-name", package_name),
        ("module-name", module_name),
        ("python-file", python_file),
        ("attribute", attribute),
        ("working-directory", working_directory),
        ("location-name", location_name),
    ];
    let given = options.iter().filter(|(_, value)| !value.is_empty());
    given.fold("dagster api grpc".to_owned(), |line, (name, value)| format!("{line} --{name} {value}"))
}

fn generation(generation: &v1::Generation) -> String {
    let v1::Generation { number, revision, phase: _, pid, started, ready: _, ended: _, calls_in_flight, exit } =
        generation;
    let mut text = format!("{number} of revision {revision}: {}", words::generation_phase(generation.phase()));
    text.push_str(&format!(", started {} ago", words::age(started.as_ref())));
    if *pid > 0 {
        text.push_str(&format!(", pid {pid}"));
    }
    if *calls_in_flight > 0 {
        text.push_str(&format!(", {calls_in_flight} calls in flight"));
    }
    if let Some(exit) = exit {
        text.push_str(&format!(", {}", words::exit(exit)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_what_failed_and_what_to_roll_back_to_is_shown() {
        let command =
            v1::Command { kind: Some(v1::command::Kind::Module("m".to_owned())), args: vec!["-v".to_owned()] };
        let exit = Some(v1::Exit { how: Some(v1::exit::How::Code(1)), ..Default::default() });
        let shown = environment(&v1::Environment {
            name: "etl".to_owned(),
            phase: v1::Phase::Serving.into(),
            serving_revision: 2,
            previous_revision: 1,
            generations: vec![v1::Generation { number: 4, revision: 2, pid: 77, ..Default::default() }],
            last_failure: Some(v1::Failure { message: "it exited".to_owned(), exit, ..Default::default() }),
            revision: Some(v1::RevisionSpec { command: Some(command), ..Default::default() }),
            ..Default::default()
        });
        for part in ["serving 2", "rollback goes to 1", "4 of revision 2", "pid 77", "it exited", "python -m m -v"] {
            assert!(shown.contains(part), "{part} is missing in\n{shown}");
        }
    }
}
