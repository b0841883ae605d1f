//! What the code servers of one environment wrote, line by line, bounded, kept after their death.
//!
//! A code server that floods loses its own oldest lines and delays nobody: the reader never waits for a follower.

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::{Bytes, BytesMut};
use prometheus_client::metrics::counter::Counter;
use tokio::{io::AsyncReadExt, net::unix::pipe, sync::watch};

use crate::words::GenerationNumber;

/// Output kept of one generation: some ten thousand lines, enough for the traceback and what led to it.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Longer lines are cut into several, so that one line cannot be the whole memory.
pub const LINE_BYTES_MAX: usize = 16 << 10;
/// Generations whose output is kept, the living ones included.
pub const GENERATIONS_KEPT: usize = 4;
/// Output that a failure carries along.
pub const TAIL_BYTES_MAX: usize = 16 << 10;
/// Lines that a reader takes at once, so that a slow one holds on to no more than these.
const BATCH_LINES: usize = 256;
/// Bytes read from a pipe at once: the size of a pipe (pipe(7)).
const READ_BYTES: usize = 64 << 10;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

/// One line without its end.
#[derive(Clone, Debug)]
pub struct Line {
    /// Order of arrival within the environment, from 1.
    pub index: u64,
    /// When it was read.
    pub time: SystemTime,
    /// Who wrote it.
    pub generation: GenerationNumber,
    /// Order of arrival within the generation, from 1.
    pub number: u64,
    /// Where to.
    pub stream: Stream,
    /// The bytes; not always UTF-8.
    pub text: Bytes,
    /// Lines of the generation just before this one that its reader did not get, because they were dropped before.
    pub lost: u64,
}

/// The output of one environment. Clones share it.
#[derive(Clone)]
pub struct Output(Arc<Shared>);

struct Shared {
    kept: Mutex<Kept>,
    newest: watch::Sender<Newest>,
    lost: Counter,
}

/// What readers wait for.
#[derive(Clone, Copy, Default)]
struct Newest {
    index: u64,
    /// No line will come after it.
    closed: bool,
}

#[derive(Default)]
struct Kept {
    newest: u64,
    generations: VecDeque<Buffer>,
}

struct Buffer {
    generation: GenerationNumber,
    lines: VecDeque<Line>,
    bytes: usize,
    written: u64,
}

impl Output {
    /// Nothing yet; lines that are dropped are counted in `lost`.
    pub fn new(lost: Counter) -> Self {
        Self(Arc::new(Shared { kept: Mutex::default(), newest: watch::Sender::default(), lost }))
    }

    /// Reads a pipe to its end, which comes when the last process that holds it has gone.
    pub async fn collect(self, generation: GenerationNumber, stream: Stream, pipe: OwnedFd) -> std::io::Result<()> {
        let mut pipe = pipe::Receiver::from_owned_fd(pipe)?;
        let mut pending = BytesMut::new();
        loop {
            pending.reserve(READ_BYTES);
            let read = pipe.read_buf(&mut pending).await?;
            while let Some(line) = take_line(&mut pending) {
                self.keep(generation, stream, &line);
            }
            if read == 0 {
                if !pending.is_empty() {
                    self.keep(generation, stream, &pending);
                }
                return Ok(());
            }
        }
    }

    /// Copies the line: a slice would keep its whole read buffer alive, which no bound counts.
    fn keep(&self, generation: GenerationNumber, stream: Stream, text: &[u8]) {
        let mut kept = self.lock();
        kept.newest += 1;
        let index = kept.newest;
        let (time, text) = (SystemTime::now(), Bytes::copy_from_slice(text));
        let lost = kept.buffer(generation).push(Line { index, time, generation, number: 0, stream, text, lost: 0 });
        drop(kept);
        self.0.lost.inc_by(lost);
        self.0.newest.send_modify(|newest| newest.index = index);
    }

    /// No more is to come: readers end when they have had what is kept.
    pub fn close(&self) {
        self.0.newest.send_modify(|newest| newest.closed = true);
    }

    /// The last lines, oldest first, of one generation or of all that are kept; and a reader of those after them.
    pub fn tail(&self, generation: Option<GenerationNumber>, lines: Option<usize>) -> (Vec<Line>, Follow) {
        let newest = self.0.newest.subscribe();
        let (read, ready) = (BTreeMap::new(), VecDeque::new());
        let mut follow = Follow { output: self.clone(), newest, index: 0, generation, read, ready };
        let mut all = follow.unread(usize::MAX);
        let skip = lines.map_or(0, |lines| all.len().saturating_sub(lines));
        (all.split_off(skip), follow)
    }

    /// The end of a generation's output as text, for a failure.
    pub fn tail_text(&self, generation: GenerationNumber) -> String {
        let mut text = String::new();
        for line in self.tail(Some(generation), None).0 {
            text.push_str(&String::from_utf8_lossy(&line.text));
            text.push('\n');
        }
        let from = text.ceil_char_boundary(text.len().saturating_sub(TAIL_BYTES_MAX));
        text.split_off(from)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn buffer(&mut self, generation: GenerationNumber) -> &mut Buffer {
        let at = self.generations.iter().position(|it| it.generation == generation).unwrap_or_else(|| {
            self.generations.push_back(Buffer { generation, lines: VecDeque::new(), bytes: 0, written: 0 });
            if self.generations.len() > GENERATIONS_KEPT {
                self.generations.pop_front();
            }
            self.generations.len() - 1
        });
        &mut self.generations[at]
    }
}

impl Buffer {
    /// Keeps and numbers a line, and returns how many were dropped for it.
    fn push(&mut self, line: Line) -> u64 {
        let mut dropped = 0;
        self.written += 1;
        self.bytes += line.text.len() + size_of::<Line>();
        self.lines.push_back(Line { number: self.written, ..line });
        while self.bytes > OUTPUT_BYTES_MAX
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.text.len() + size_of::<Line>();
            dropped += 1;
        }
        dropped
    }

    fn after(&self, number: u64) -> impl Iterator<Item = &Line> {
        let from = self.lines.partition_point(|line| line.number <= number);
        self.lines.range(from..)
    }
}

/// A reader that waits for new lines.
pub struct Follow {
    output: Output,
    newest: watch::Receiver<Newest>,
    /// The newest line that was read, or that need not be.
    index: u64,
    generation: Option<GenerationNumber>,
    /// The number of the last line read of each generation that is kept.
    read: BTreeMap<GenerationNumber, u64>,
    ready: VecDeque<Line>,
}

impl Follow {
    /// The next line; `None` when no more is to come.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            let index = self.index;
            let newest = *self.newest.wait_for(|newest| newest.index > index || newest.closed).await.ok()?;
            self.ready = self.unread(BATCH_LINES).into();
            if self.ready.is_empty() {
                self.index = newest.index;
                if newest.closed {
                    return None;
                }
            }
        }
    }

    /// The oldest lines that this reader has not had, `max` at most; it has had them then.
    fn unread(&mut self, max: usize) -> Vec<Line> {
        let output = self.output.clone();
        let kept = output.lock();
        let had = |generation| self.read.get(&generation).copied().unwrap_or(0);
        let wanted = kept.generations.iter().filter(|it| self.generation.is_none_or(|wanted| wanted == it.generation));
        let unread = wanted.flat_map(|it| it.after(had(it.generation)).take(max));
        let mut lines: Vec<Line> = unread.cloned().collect();
        self.read.retain(|generation, _| kept.generations.iter().any(|it| it.generation == *generation));
        drop(kept);
        lines.sort_by_key(|line| line.index);
        lines.truncate(max);
        for line in &mut lines {
            let had = self.read.entry(line.generation).or_default();
            line.lost = line.number - *had - 1;
            *had = line.number;
            self.index = line.index;
        }
        lines
    }
}

/// Takes one line off the front, cut at [`LINE_BYTES_MAX`]; `None` when its end has not come yet.
fn take_line(pending: &mut BytesMut) -> Option<BytesMut> {
    let window = &pending[..pending.len().min(LINE_BYTES_MAX)];
    if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
        let mut line = pending.split_to(end + 1);
        line.truncate(end);
        return Some(line);
    }
    (pending.len() >= LINE_BYTES_MAX).then(|| pending.split_to(LINE_BYTES_MAX))
}

/// Where a Python traceback begins.
const TRACEBACK: &str = "Traceback (most recent call last):";
/// What Python writes between a cause and the exception that came of it.
const CHAINED: [&str; 2] = ["direct cause of the following exception:", "another exception occurred:"];

/// The last Python traceback in a text, with the exceptions it was caused by; empty when there is none.
pub fn traceback(text: &str) -> String {
    let Some(mut from) = text.rfind(TRACEBACK) else { return String::new() };
    while let Some(cause) = text[..from].rfind(TRACEBACK)
        && CHAINED.iter().any(|link| text[..from].trim_end().ends_with(link))
    {
        from = cause;
    }
    text[from..].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(output: &Output, generation: GenerationNumber, text: &'static str) {
        output.keep(generation, Stream::Stderr, text.as_bytes());
    }

    #[test]
    fn the_last_lines_of_a_dead_generation_are_still_there() {
        let output = Output::new(Counter::default());
        for generation in 1..=GENERATIONS_KEPT as u64 + 1 {
            say(&output, generation, "one");
            say(&output, generation, "two");
        }
        assert!(output.tail(Some(1), None).0.is_empty(), "the oldest generation made room");
        let kept: Vec<_> = output.tail(Some(2), Some(1)).0.into_iter().map(|line| line.text).collect();
        assert_eq!(kept, ["two"]);
    }

    #[test]
    fn a_flood_loses_its_own_oldest_lines_and_says_how_many() {
        let output = Output::new(Counter::default());
        say(&output, 1, "kept");
        let line = "x".repeat(LINE_BYTES_MAX);
        let rounds = 2 * OUTPUT_BYTES_MAX / LINE_BYTES_MAX;
        for _ in 0..rounds {
            output.keep(2, Stream::Stdout, line.as_bytes());
        }
        let (flood, _) = output.tail(Some(2), None);
        assert_eq!(flood[0].lost as usize + flood.len(), rounds);
        assert!(flood.iter().map(|line| line.text.len()).sum::<usize>() <= OUTPUT_BYTES_MAX);
        assert_eq!(output.tail(Some(1), None).0.len(), 1);
    }

    #[test]
    fn lines_end_at_newlines_and_long_ones_are_cut() {
        let mut pending = BytesMut::from(&b"a\n\nb"[..]);
        assert_eq!(take_line(&mut pending).expect("a line"), "a");
        assert_eq!(take_line(&mut pending).expect("an empty line"), "");
        assert_eq!(take_line(&mut pending), None);
        let mut long = BytesMut::from(&vec![b'x'; LINE_BYTES_MAX + 1][..]);
        assert_eq!(take_line(&mut long).expect("a cut line").len(), LINE_BYTES_MAX);
        assert_eq!(long.len(), 1);
    }

    #[tokio::test]
    async fn a_follower_gets_what_comes_after_the_line_it_begins_at() {
        let output = Output::new(Counter::default());
        say(&output, 1, "before");
        let (before, mut follow) = output.tail(None, None);
        assert_eq!(before.len(), 1);
        say(&output, 2, "after");
        assert_eq!(follow.next().await.expect("a line").text, "after");
        say(&output, 2, "the last");
        output.close();
        assert_eq!(follow.next().await.expect("a line").text, "the last");
        assert!(follow.next().await.is_none(), "no more is to come");
    }

    #[tokio::test]
    async fn a_slow_follower_is_told_of_the_lines_that_it_lost_and_of_no_others() {
        let output = Output::new(Counter::default());
        let (_, mut follow) = output.tail(None, None);
        let line = "x".repeat(LINE_BYTES_MAX);
        let (fits, rounds) = (OUTPUT_BYTES_MAX / LINE_BYTES_MAX / 2, 10);
        let (mut got, mut lost) = (0, 0);
        for round in 1..=rounds {
            for _ in 0..round * fits {
                output.keep(1, Stream::Stdout, line.as_bytes());
            }
            // It reads a few each time, and what it has taken already is dropped behind it.
            for _ in 0..fits / 2 + 4 {
                let line = follow.next().await.expect("a line");
                (got, lost) = (got + 1, lost + line.lost);
                assert_eq!(line.number, got + lost, "what it got and what it lost are all there was");
            }
        }
        assert!(lost > 0);
    }

    #[test]
    fn a_traceback_is_cut_out_of_the_output() {
        let text = "starting\nTraceback (most recent call last):\n  File \"x\"\nValueError: no\n";
        assert_eq!(traceback(text), "Traceback (most recent call last):\n  File \"x\"\nValueError: no");
        assert_eq!(traceback("fine\n"), "");
        let handled = format!("{text}and on it went\n");
        let chain = "Traceback (most recent call last):\nKeyError: 1\n\nDuring handling of the above exception, another \
                     exception occurred:\n\nTraceback (most recent call last):\nTypeError: 2";
        assert_eq!(traceback(&format!("{handled}{chain}\n")), chain);
    }
}
