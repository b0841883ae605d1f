//! A bounded queue of lines before a thread that writes them to stderr. Writing to the queue never waits.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

/// Pause between two looks whether the queue is empty, at the end.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A handle; clones are the same queue.
#[derive(Clone)]
pub struct Queue {
    lines: SyncSender<Vec<u8>>,
    waiting: watch::Sender<usize>,
    waiting_max: usize,
    lost: Counter,
}

impl Queue {
    /// Starts the thread. Lines beyond `waiting_max` are dropped and counted.
    pub fn start(name: &str, waiting_max: usize, lost: Counter) -> io::Result<Self> {
        let (lines, queued) = sync_channel(waiting_max);
        let queue = Self { lines, waiting: watch::Sender::new(0), waiting_max, lost };
        let waiting = queue.waiting.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || write_all(&queued, &waiting))?;
        Ok(queue)
    }

    /// Returns when there is room for a line.
    pub async fn room(&self) {
        let room = self.waiting.subscribe().wait_for(|waiting| *waiting < self.waiting_max).await.map(drop);
        room.expect("self holds the sender");
    }

    /// Returns when all lines are written, or after `wait`.
    pub fn finish(&self, wait: Duration) {
        let end = Instant::now() + wait;
        while *self.waiting.borrow() > 0 && Instant::now() < end {
            thread::sleep(LOOK_AGAIN);
        }
    }
}

/// One call is one line.
impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        if self.lines.try_send(line.to_vec()).is_err() {
            self.waiting.send_modify(|waiting| *waiting -= 1);
            self.lost.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(lines: &Receiver<Vec<u8>>, waiting: &watch::Sender<usize>) {
    for line in lines {
        // A log that nobody takes any more is no reason to stop.
        let _ = io::stderr().write_all(&line);
        waiting.send_modify(|waiting| *waiting -= 1);
    }
}
