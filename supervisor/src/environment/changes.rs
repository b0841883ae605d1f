//! Who is told of changes: each environment publishes its status, readers wait for a bell and look what is new.
//!
//! Nothing queues: a slow reader skips states in between and never misses the last one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

use super::Registry;
use crate::words::{EnvironmentName, EnvironmentStatus};

/// The bell, and the counter that numbers statuses.
#[derive(Clone)]
pub struct Board {
    versions: Arc<AtomicU64>,
    bell: watch::Sender<()>,
}

/// Publishes the status of one environment.
pub struct Publisher {
    board: Board,
    born: u64,
    status: watch::Sender<EnvironmentStatus>,
}

/// Something that changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// This is how it is now.
    Changed(Box<EnvironmentStatus>),
    /// It is gone.
    Removed(EnvironmentName),
}

impl Board {
    /// Numbers start at the clock's microseconds, so that they grow across restarts of the supervisor too.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { versions: Arc::new(AtomicU64::new(now.as_micros() as u64)), bell: watch::Sender::new(()) }
    }

    /// For a new environment, with its first status.
    pub fn publisher(&self, first: EnvironmentStatus) -> (Publisher, watch::Receiver<EnvironmentStatus>) {
        let born = self.next_number();
        let (status, reader) = watch::channel(EnvironmentStatus { version: born, born, ..first });
        let publisher = Publisher { board: self.clone(), born, status };
        (publisher, reader)
    }

    fn next_number(&self) -> u64 {
        self.versions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Wakes every reader.
    pub fn ring(&self) {
        self.bell.send_replace(());
    }

    /// A reader of all changes, beginning with the present.
    pub fn changes(&self, registry: Registry) -> Changes {
        let mut bell = self.bell.subscribe();
        bell.mark_changed();
        Changes { registry, bell, seen: Seen::default(), ready: VecDeque::new() }
    }
}

impl Publisher {
    /// Shows a status under a new number if anything in it differs from what is shown; returns what is shown.
    pub fn publish(&self, status: EnvironmentStatus) -> EnvironmentStatus {
        let changed = self.status.send_if_modified(|shown| {
            let status = EnvironmentStatus { version: shown.version, born: self.born, ..status };
            let differs = *shown != status;
            if differs {
                *shown = EnvironmentStatus { version: self.board.next_number(), ..status };
            }
            differs
        });
        if changed {
            self.board.ring();
        }
        self.status.borrow().clone()
    }
}

/// A reader of changes.
pub struct Changes {
    registry: Registry,
    bell: watch::Receiver<()>,
    seen: Seen,
    ready: VecDeque<Change>,
}

/// What a reader was told of, by name: which environment it was, and the version of its status.
#[derive(Default)]
struct Seen(BTreeMap<EnvironmentName, (u64, u64)>);

impl Changes {
    /// The next change.
    pub async fn next(&mut self) -> Option<Change> {
        while self.ready.is_empty() {
            self.bell.changed().await.ok()?;
            self.ready = self.seen.look(self.registry.list());
        }
        self.ready.pop_front()
    }
}

impl Seen {
    /// What is new. An environment whose name was given to another one meanwhile is gone, too.
    fn look(&mut self, now: Vec<EnvironmentStatus>) -> VecDeque<Change> {
        let born: BTreeMap<_, _> = now.iter().map(|status| (status.name.clone(), status.born)).collect();
        let gone = self.0.extract_if(.., |name, (seen, _)| born.get(name) != Some(seen));
        let mut news: VecDeque<_> = gone.map(|(name, _)| Change::Removed(name)).collect();
        for status in now {
            let numbers = (status.born, status.version);
            if self.0.insert(status.name.clone(), numbers) != Some(numbers) {
                news.push_back(Change::Changed(Box::new(status)));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::samples;

    fn told(news: VecDeque<Change>) -> Vec<String> {
        let told = |change| match change {
            Change::Changed(status) => format!("{} at {}", status.name, status.version),
            Change::Removed(name) => format!("{name} is gone"),
        };
        news.into_iter().map(told).collect()
    }

    #[test]
    fn only_a_status_that_differs_is_published() {
        let board = Board::new();
        let (publisher, reader) = board.publisher(samples::serving("etl"));
        let mut bell = board.bell.subscribe();
        let first = publisher.publish(samples::serving("etl")).version;
        assert!(!bell.has_changed().expect("the board lives"), "nobody is woken for nothing");
        let next = publisher.publish(EnvironmentStatus { restarts: 1, ..samples::serving("etl") }).version;
        assert!(bell.has_changed().expect("the board lives") && next > first);
        assert_eq!((reader.borrow().version, reader.borrow().restarts), (next, 1));
        bell.mark_unchanged();
        let shown = reader.borrow().clone();
        assert_eq!(publisher.publish(shown).version, next);
        assert!(!bell.has_changed().expect("the board lives"));
    }

    #[test]
    fn a_name_that_was_removed_and_given_again_between_two_looks_is_told_as_both() {
        let mut seen = Seen::default();
        let etl = |born, version| EnvironmentStatus { born, version, ..samples::serving("etl") };
        assert_eq!(told(seen.look(vec![etl(1, 4), samples::serving("web")])), ["etl at 4", "web at 4"]);
        assert_eq!(told(seen.look(vec![etl(1, 4), samples::serving("web")])), [""; 0]);
        assert_eq!(told(seen.look(vec![etl(5, 6)])), ["etl is gone", "web is gone", "etl at 6"]);
    }
}
