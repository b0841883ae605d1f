//! The progress of a deploy: lines that are rewritten in place on a terminal, one line per event elsewhere.

use std::io;

use pexvisor_proto::v1::{self, deploy_event::Event, stage_event};

use super::{
    json,
    sentence::{self, Subject},
    words,
};
use crate::{
    deploy::FileNames,
    error::Exit,
    out::{Out, Style},
};

/// Wrapping off while drawing, so that each line takes one row whatever the width (DECAWM).
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";
/// Clears to the end of the screen.
const CLEAR_BELOW: &str = "\x1b[J";

/// Shows events as they come.
pub struct Progress<'a> {
    names: FileNames,
    out: &'a mut Out,
    lines: Vec<(Subject, String)>,
}

impl<'a> Progress<'a> {
    /// Nothing shown yet. `names` says what to call artifacts.
    pub fn new(names: FileNames, out: &'a mut Out) -> Self {
        Self { names, out, lines: Vec::new() }
    }

    /// Shows one event; gives the exit code once the deploy is over.
    pub fn event(&mut self, event: &v1::DeployEvent) -> io::Result<Option<Exit>> {
        let Some(body) = &event.event else { return Ok(None) };
        match self.out.style {
            Style::Json => self.out.json(&json::deploy_event(event))?,
            Style::Plain | Style::Terminal => {
                let who = format!("{} r{}", event.environment, event.revision);
                self.show(event.time.as_ref(), &who, body)?;
            }
        }
        Ok(match body {
            Event::Ready(_) => Some(Exit::Done),
            Event::Failed(_) => Some(Exit::DeployFailed),
            Event::Superseded(_) => Some(Exit::Superseded),
            Event::Accepted(_) | Event::Fetching(_) | Event::Installing(_) | Event::Starting(_) => None,
        })
    }

    /// Shows one event of a Stage; gives the exit code once it is over.
    pub fn stage_event(&mut self, event: &v1::StageEvent) -> io::Result<Option<Exit>> {
        let Some(body) = &event.event else { return Ok(None) };
        if self.out.style == Style::Json {
            self.out.json(&json::stage_event(event))?;
        }
        let shown = match body {
            stage_event::Event::Fetching(fetching) => Event::Fetching(fetching.clone()),
            stage_event::Event::Installing(installing) => Event::Installing(installing.clone()),
            stage_event::Event::Ready(_) => return Ok(Some(Exit::Done)),
            stage_event::Event::Failed(failure) => {
                let failure = Some(failure.clone());
                Event::Failed(v1::deploy_event::Failed { failure, still_serving_generation: 0 })
            }
        };
        if self.out.style != Style::Json {
            self.show(None, "stage", &shown)?;
        }
        Ok(matches!(shown, Event::Failed(_)).then_some(Exit::DeployFailed))
    }

    fn show(&mut self, time: Option<&prost_types::Timestamp>, who: &str, event: &Event) -> io::Result<()> {
        let sentence = sentence::sentence(event, &self.names);
        if self.out.style == Style::Terminal {
            self.redraw(sentence::subject(event), format!("{who}  {sentence}"))?;
        } else if self.is_worth_a_line(event, &sentence) {
            let clock = time.map(|time| format!("{} ", words::clock(Some(time)))).unwrap_or_default();
            self.out.text(&format!("{clock}{who} {sentence}\n"))?;
        }
        match event {
            Event::Failed(failed) => self.out.text(&failed.failure.as_ref().map(sentence::failure).unwrap_or_default()),
            _ => Ok(()),
        }
    }

    /// Where lines pile up, of the bytes of one artifact only the first and the last report, each once.
    fn is_worth_a_line(&mut self, event: &Event, sentence: &str) -> bool {
        let Event::Fetching(v1::deploy_event::Fetching { sha256, bytes, bytes_total, cached }) = event else {
            return true;
        };
        let subject = Subject::Artifact(sha256.clone());
        let line = (subject, sentence.to_owned());
        let is_first = !self.lines.iter().any(|(shown, _)| *shown == line.0);
        let is_last = *cached || (bytes == bytes_total && *bytes_total > 0);
        let is_worth_it = (is_first || is_last) && !self.lines.contains(&line);
        if is_worth_it {
            self.lines.push(line);
        }
        is_worth_it
    }

    fn redraw(&mut self, subject: Subject, line: String) -> io::Result<()> {
        let drawn = self.lines.len();
        match self.lines.iter_mut().find(|(shown, _)| *shown == subject) {
            Some((_, shown)) => *shown = line,
            None => self.lines.push((subject, line)),
        }
        let up = if drawn > 0 { format!("\x1b[{drawn}A") } else { String::new() };
        let lines: String = self.lines.iter().map(|(_, line)| format!("{}\n", printable(line))).collect();
        self.out.text(&format!("{WRAP_OFF}{up}\r{CLEAR_BELOW}{lines}{WRAP_ON}"))
    }
}

/// A message may carry what a code server wrote: nothing in it may move the cursor.
fn printable(line: &str) -> String {
    line.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::tests::Paper;

    fn event(event: Event) -> v1::DeployEvent {
        let time = Some(prost_types::Timestamp { seconds: 3_723, nanos: 0 });
        v1::DeployEvent { sequence: 1, time, environment: "etl".to_owned(), revision: 7, event: Some(event) }
    }

    fn fetching(bytes: u64) -> Event {
        let sha256 = "07".repeat(32);
        Event::Fetching(v1::deploy_event::Fetching { sha256, bytes, bytes_total: 64_000_000, cached: false })
    }

    fn starting() -> Event {
        Event::Starting(v1::deploy_event::Starting { generation: 3 })
    }

    fn failed() -> Event {
        let failure = v1::Failure {
            reason: v1::FailureReason::Exited.into(),
            message: "the code server exited before it was ready".to_owned(),
            traceback: "Traceback (most recent call last):\nImportError: x".to_owned(),
            output_tail: "unused".to_owned(),
            exit: Some(v1::Exit { how: Some(v1::exit::How::Code(1)), ..Default::default() }),
        };
        Event::Failed(v1::deploy_event::Failed { failure: Some(failure), still_serving_generation: 2 })
    }

    fn shown(style: Style, events: Vec<Event>) -> (String, Option<Exit>) {
        let paper = Paper::default();
        let mut out = paper.out(style);
        let names = [("07".repeat(32), "deps.pex".to_owned())].into();
        let mut progress = Progress::new(names, &mut out);
        let mut exit = None;
        for body in events {
            exit = progress.event(&event(body)).expect("paper takes everything");
        }
        (paper.text(), exit)
    }

    #[test]
    fn a_pipe_gets_one_line_per_step_and_not_every_byte_count() {
        let end = fetching(64_000_000);
        let events = vec![fetching(1_000_000), fetching(32_000_000), end.clone(), end, starting()];
        let (text, exit) = shown(Style::Plain, events);
        assert_eq!(
            text,
            "01:02:03.000 etl r7 deps.pex: fetching 1.0 MB of 64.0 MB\n\
             01:02:03.000 etl r7 deps.pex: fetched 64.0 MB\n\
             01:02:03.000 etl r7 starting generation 3\n"
        );
        assert_eq!(exit, None);
    }

    #[test]
    fn a_terminal_shows_each_subject_on_one_line_of_its_own() {
        let (text, _) = shown(Style::Terminal, vec![fetching(1_000_000), fetching(64_000_000), starting()]);
        let last = text.rsplit(CLEAR_BELOW).next().expect("drawn");
        assert_eq!(last, "etl r7  deps.pex: fetched 64.0 MB\netl r7  starting generation 3\n\x1b[?7h");
        assert!(text.contains("\x1b[1A"), "the first line is drawn over: {text:?}");
    }

    #[test]
    fn a_failure_shows_its_reason_its_traceback_and_what_goes_on_serving() {
        let (text, exit) = shown(Style::Plain, vec![failed()]);
        assert!(text.contains("failed (exited): the code server exited before it was ready"), "{text}");
        assert!(text.contains("generation 2 goes on serving\n  exit code 1\n  | Traceback"), "{text}");
        assert!(text.ends_with("  | ImportError: x\n"), "{text}");
        assert_eq!(exit, Some(Exit::DeployFailed));
    }

    #[test]
    fn json_is_one_object_per_line() {
        let (text, exit) = shown(Style::Json, vec![starting(), failed()]);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
        assert_eq!(lines[0]["starting"]["generation"], 3);
        assert_eq!(lines[1]["failed"]["failure"]["reason"], "exited");
        assert_eq!(exit, Some(Exit::DeployFailed));
    }

    #[test]
    fn each_end_has_its_exit_code() {
        let ready = Event::Ready(v1::deploy_event::Ready { generation: 3, timings: None });
        let superseded = Event::Superseded(v1::deploy_event::Superseded { by_revision: 8 });
        assert_eq!(shown(Style::Plain, vec![ready]).1, Some(Exit::Done));
        assert_eq!(shown(Style::Plain, vec![superseded]).1, Some(Exit::Superseded));
    }

    #[test]
    fn a_message_cannot_move_the_cursor() {
        assert_eq!(printable("a\x1b[2Jb\rc"), "a [2Jb c");
    }
}
