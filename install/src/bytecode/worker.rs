//! A Python that compiles one source after the other. If a source crashes it, another goes on with the next one.

use std::{
    io::{self, BufRead, BufReader, Read as _, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::Deserialize;

use super::{CompileError, Compiled, queue::Queue, sources::Source};

/// Reads sources, writes byte code.
const SCRIPT: &str = include_str!("worker.py");

/// Longest answer: the imports of one file, which are some kB.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Compiled,
    Present,
    Broken,
    Full,
}

/// Compiles what the queue gives, until it has no more.
pub(super) fn work(python: &Path, queue: &Queue) -> Result<Compiled, CompileError> {
    let mut done = Compiled::default();
    let mut worker = None;
    while let Some(source) = queue.take() {
        let (outcome, imports) = match ask(&mut worker, python, &source) {
            Ok(answer) => answer,
            Err(error) => {
                queue.give_up();
                return Err(CompileError::Start { python: python.into(), source: error });
            }
        };
        match outcome {
            Outcome::Compiled => done.compiled += 1,
            Outcome::Present => {}
            Outcome::Broken => done.broken += 1,
            Outcome::Full => {
                queue.give_up();
                return Err(CompileError::DiskFull);
            }
        }
        queue.done(&imports);
    }
    Ok(done)
}

fn ask(worker: &mut Option<Worker>, python: &Path, source: &Source) -> io::Result<(Outcome, Vec<String>)> {
    let asked = match worker {
        Some(running) => running,
        None => worker.insert(Worker::start(python)?),
    };
    let answer = asked.compile(source);
    if answer.is_none() {
        // It died at this one.
        *worker = None;
    }
    Ok(answer.unwrap_or((Outcome::Broken, Vec::new())))
}

struct Worker {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(python: &Path) -> io::Result<Self> {
        let mut child = Command::new(python)
            .args(["-I", "-S", "-W", "ignore", "-c", SCRIPT])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
        Ok(Self { child, questions: stdin, answers: BufReader::new(stdout) })
    }

    /// Nothing when it died, or says what is no answer.
    fn compile(&mut self, source: &Source) -> Option<(Outcome, Vec<String>)> {
        let question = (source.path.to_str()?, source.byte_code.to_str()?, source.package.as_deref());
        let mut line = serde_json::to_vec(&question).expect("strings have a JSON form");
        line.push(b'\n');
        self.questions.write_all(&line).ok()?;
        line.clear();
        self.answers.by_ref().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
        serde_json::from_slice(&line).ok()
    }
}

impl Drop for Worker {
    #[expect(clippy::disallowed_methods, reason = "the installer process has no reaper: this child is its own")]
    fn drop(&mut self) {
        // It may have ended already; then killing it does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
