//! The log: one line an event on stderr, text or JSON; the supervisor's own lines, and those that code servers write.
//!
//! Nobody waits for stderr: a pipe that nobody reads, or a slow disk, must not hold up the supervisor. Its own lines wait in
//! a bounded queue and are dropped when it is full. The lines of code servers have a queue of their own, so that they
//! take no room from the supervisor's, and whoever passes them on waits for its turn.

mod queue;

use std::{backtrace::Backtrace, io, sync::Arc, time::Duration};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::Metadata;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use self::queue::Queue;

/// The variable that holds the filter, such as `info` or `pexvisor=debug`.
const FILTER_VARIABLE: &str = "PEXVISOR_LOG";
/// The target of lines that code servers write, for the filter.
pub const OUTPUT: &str = "pexvisor::output";

/// The supervisor's own lines that may wait for stderr: minutes of a busy supervisor, and about a megabyte.
const LOG_LINES_WAITING_MAX: usize = 4096;
/// Lines of code servers that may wait for stderr: as good as none, because they are kept where they come from.
const OUTPUT_LINES_WAITING_MAX: usize = 64;
/// How long the last lines may take at the end of the supervisor, when somebody reads them.
const FINISH_WAIT_MAX: Duration = Duration::from_millis(500);

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For log collectors.
    Json,
}

/// The log of this process. Clones are the same one.
#[derive(Clone)]
pub struct Log {
    own: Queue,
    output: Queue,
    turn: Arc<Mutex<()>>,
}

/// One may write one line of a code server's output while one has this.
pub struct Turn(#[expect(dead_code, reason = "it is held")] OwnedMutexGuard<()>);

impl Log {
    /// Sends all events to stderr, panics too. Called once, first of all. What is dropped is counted in `lost`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(form: Form, lost: &Counter) -> io::Result<Self> {
        let own = Queue::start("log", LOG_LINES_WAITING_MAX, lost.clone())?;
        let output = Queue::start("log-output", OUTPUT_LINES_WAITING_MAX, lost.clone())?;
        let log = Self { own, output, turn: Arc::default() };
        let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone()).with_ansi(false);
        match form {
            Form::Text => lines.init(),
            Form::Json => lines.json().init(),
        }
        std::panic::set_hook(Box::new(|panic| tracing::error!(backtrace = %Backtrace::capture(), "{panic}")));
        Ok(log)
    }

    /// Waits until the log has room for one more line of a code server, and for those who waited before.
    pub async fn turn(&self) -> Turn {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        self.output.room().await;
        Turn(turn)
    }

    /// Waits until the last line is written, for a moment. Called at the end.
    pub fn finish(&self) {
        self.own.finish(FINISH_WAIT_MAX);
        self.output.finish(FINISH_WAIT_MAX);
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Queue;

    fn make_writer(&'a self) -> &'a Queue {
        &self.own
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> &'a Queue {
        if event.target() == OUTPUT { &self.output } else { &self.own }
    }
}
