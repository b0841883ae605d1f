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
        let (status, reader) = watch::channel(first);
        let publisher = Publisher { board: self.clone(), status };
        (publisher, reader)
    }

    /// Wakes every reader.
    pub fn ring(&self) {
        self.bell.send_replace(());
    }

    /// A reader of all changes, beginning with the present.
    pub fn changes(&self, registry: Registry) -> Changes {
        let mut bell = self.bell.subscribe();
        bell.mark_changed();
        Changes { registry, bell, seen: BTreeMap::new(), ready: VecDeque::new() }
    }
}

impl Publisher {
    /// Numbers a status, shows it, and returns it as shown.
    pub fn publish(&self, status: EnvironmentStatus) -> EnvironmentStatus {
        let version = self.board.versions.fetch_add(1, Ordering::Relaxed) + 1;
        let status = EnvironmentStatus { version, ..status };
        self.status.send_replace(status.clone());
        self.board.ring();
        status
    }
}

/// A reader of changes.
pub struct Changes {
    registry: Registry,
    bell: watch::Receiver<()>,
    seen: BTreeMap<EnvironmentName, u64>,
    ready: VecDeque<Change>,
}

impl Changes {
    /// The next change.
    pub async fn next(&mut self) -> Option<Change> {
        while self.ready.is_empty() {
            self.bell.changed().await.ok()?;
            self.look();
        }
        self.ready.pop_front()
    }

    fn look(&mut self) {
        let now: BTreeMap<_, _> = self.registry.list().into_iter().map(|it| (it.name.clone(), it)).collect();
        let gone: Vec<_> = self.seen.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
        for name in gone {
            self.seen.remove(&name);
            self.ready.push_back(Change::Removed(name));
        }
        for (name, status) in now {
            if self.seen.insert(name, status.version) != Some(status.version) {
                self.ready.push_back(Change::Changed(Box::new(status)));
            }
        }
    }
}
