//! One Python that compiles its share of the sources. If a source crashes it, another goes on with the next one.

use std::{
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
};

use super::{CompileError, Compiled, sources::Source};

/// Reads sources, writes byte code.
const SCRIPT: &str = include_str!("worker.py");

/// Compiles `sources` in order; `count` is called after each.
pub(super) fn compile_all(
    python: &Path,
    sources: &[&Source],
    count: &(dyn Fn() + Sync),
) -> Result<Compiled, CompileError> {
    let (mut done, mut at) = (Compiled::default(), 0);
    while at < sources.len() {
        let mut child = start(python).map_err(|source| CompileError::Start { python: python.into(), source })?;
        let said = feed(&mut child, &sources[at..], |said| {
            count();
            match said {
                "1" => done.compiled += 1,
                _ => done.broken += 1,
            }
        });
        end(child);
        let said = said?;
        at += said;
        if at < sources.len() {
            // It died at this one.
            done.broken += 1;
            at += 1;
        }
    }
    Ok(done)
}

fn start(python: &Path) -> io::Result<Child> {
    Command::new(python)
        .args(["-I", "-S", "-W", "ignore", "-c", SCRIPT])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

/// Gives the sources to `child` and its answers to `answer`; gives how many answers there were.
fn feed(child: &mut Child, sources: &[&Source], mut answer: impl FnMut(&str)) -> Result<usize, CompileError> {
    let (stdin, stdout) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
    thread::scope(|scope| {
        scope.spawn(|| write_list(stdin, sources));
        let mut answers = 0;
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line == "full" {
                return Err(CompileError::DiskFull);
            }
            answer(&line);
            answers += 1;
        }
        Ok(answers)
    })
}

/// A child that died takes no more: its answers tell.
fn write_list(mut stdin: ChildStdin, sources: &[&Source]) {
    for source in sources {
        let pair = [source.path.to_str(), source.byte_code.to_str()];
        let mut line = serde_json::to_vec(&pair).expect("strings have a JSON form");
        line.push(b'\n');
        if stdin.write_all(&line).is_err() {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the installer process has no reaper: this child is its own")]
fn end(mut child: Child) {
    // It may be asked to stop early; killing one that ended already does nothing.
    let _ = child.kill();
    let _ = child.wait();
}
