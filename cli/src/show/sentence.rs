//! What one event of a deploy says.

use pexvisor_proto::v1::{self, deploy_event::Event};

use super::words;
use crate::{deploy::FileNames, units};

/// What a line of progress is about; a later event with the same subject takes its place on a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The deploy as a whole.
    Deploy,
    /// One artifact, by its sha256.
    Artifact(String),
    /// The code server.
    CodeServer,
}

/// What an event is about.
pub fn subject(event: &Event) -> Subject {
    match event {
        Event::Accepted(_) => Subject::Deploy,
        Event::Fetching(v1::deploy_event::Fetching { sha256, .. })
        | Event::Installing(v1::deploy_event::Installing { sha256, .. }) => Subject::Artifact(sha256.clone()),
        Event::Starting(_) | Event::Ready(_) | Event::Failed(_) | Event::Superseded(_) => Subject::CodeServer,
    }
}

/// An event as a line without its end. Only a failure has more to say: see [`failure`].
pub fn sentence(event: &Event, names: &FileNames) -> String {
    match event {
        Event::Accepted(v1::deploy_event::Accepted {}) => "accepted".to_owned(),
        Event::Fetching(fetching) => self::fetching(fetching, names),
        Event::Installing(installing) => self::installing(installing, names),
        Event::Starting(v1::deploy_event::Starting { generation }) => format!("starting generation {generation}"),
        Event::Ready(v1::deploy_event::Ready { generation, timings }) => {
            let times = timings.as_ref().map(self::timings).unwrap_or_default();
            format!("ready: generation {generation} serves{times}")
        }
        Event::Failed(failed) => self::failed(failed),
        Event::Superseded(v1::deploy_event::Superseded { by_revision }) => {
            format!("superseded by revision {by_revision}")
        }
    }
}

/// What a failure says beyond its first line: how the process ended, and the traceback or else the end of the output.
pub fn failure(failure: &v1::Failure) -> String {
    let v1::Failure { reason: _, message: _, traceback, output_tail, exit } = failure;
    let mut text = exit.as_ref().map(|exit| format!("  {}\n", words::exit(exit))).unwrap_or_default();
    let output = if traceback.is_empty() { output_tail } else { traceback };
    for line in output.lines() {
        text.push_str(&format!("  | {line}\n"));
    }
    text
}

fn fetching(fetching: &v1::deploy_event::Fetching, names: &FileNames) -> String {
    let v1::deploy_event::Fetching { sha256, bytes, bytes_total, cached } = fetching;
    let name = name(sha256, names);
    match (cached, bytes_total) {
        (true, _) => format!("{name}: fetched before"),
        (false, 0) => format!("{name}: fetching {}", units::show_bytes(*bytes)),
        (false, total) if bytes == total => format!("{name}: fetched {}", units::show_bytes(*bytes)),
        (false, total) => {
            format!("{name}: fetching {} of {}", units::show_bytes(*bytes), units::show_bytes(*total))
        }
    }
}

fn installing(installing: &v1::deploy_event::Installing, names: &FileNames) -> String {
    let v1::deploy_event::Installing { sha256, cached, done } = installing;
    let name = name(sha256, names);
    match (cached, done) {
        (true, _) => format!("{name}: installed before"),
        (false, true) => format!("{name}: installed"),
        (false, false) => format!("{name}: installing"),
    }
}

fn failed(failed: &v1::deploy_event::Failed) -> String {
    let v1::deploy_event::Failed { failure, still_serving_generation } = failed;
    let (reason, message) = failure.as_ref().map_or_else(
        || ("unknown".to_owned(), "the supervisor gave no reason"),
        |failure| (words::reason(failure.reason()), failure.message.as_str()),
    );
    let serving = match still_serving_generation {
        0 => "nothing serves".to_owned(),
        generation => format!("generation {generation} goes on serving"),
    };
    format!("failed ({reason}): {message}; {serving}")
}

fn timings(timings: &v1::Timings) -> String {
    let v1::Timings { accept_us, fetch_us, install_us, start_us, cut_over_us, total_us } = timings;
    let show = |micros: &u64| units::show_micros(*micros);
    let steps = format!(
        "accept {}, fetch {}, install {}, start {}, cut-over {}",
        show(accept_us),
        show(fetch_us),
        show(install_us),
        show(start_us),
        show(cut_over_us)
    );
    format!(" after {} ({steps})", show(total_us))
}

fn name<'a>(sha256: &'a str, names: &'a FileNames) -> &'a str {
    names.get(sha256).map_or_else(|| words::short(sha256), String::as_str)
}
