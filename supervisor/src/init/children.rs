//! Who waits for which child, and the handle by which its owner sees it end.
//!
//! Plain bookkeeping: starts nothing and reaps nothing.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use pexvisor_sandbox::{
    End,
    signal::{self, Signal},
};
use tokio::sync::watch;

/// A child of ours. Clones name the same child; dropping them all leaves it running.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its process id. After its end the number may be another's: signals go by [`Process::signal`].
    pub pid: i32,
    pidfd: Arc<OwnedFd>,
    end: watch::Receiver<Option<End>>,
}

/// Every child that has an owner and was not reaped yet.
#[derive(Debug, Default)]
pub(super) struct Children {
    ends: HashMap<i32, watch::Sender<Option<End>>>,
}

impl Children {
    /// Registers a child that nobody can have reaped yet.
    pub fn register(&mut self, pid: i32, pidfd: Arc<OwnedFd>) -> Process {
        let (sender, end) = watch::channel(None);
        self.ends.insert(pid, sender);
        Process { pid, pidfd, end }
    }

    /// Tells the owner of a reaped child how it ended.
    pub fn deliver(&mut self, pid: i32, end: End) -> Owner {
        let Some(sender) = self.ends.remove(&pid) else { return Owner::None };
        sender.send_replace(Some(end));
        Owner::Told
    }
}

/// Whose child it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Started by us.
    Told,
    /// An orphan that came to us.
    None,
}

impl Process {
    /// Waits until the child has ended and was reaped. Several may wait, also long after the end.
    pub async fn wait(&mut self) -> End {
        let end = self.end.wait_for(Option::is_some).await;
        let end = end.expect("the sender is dropped only after it has sent: the reaper lives as long as the process");
        end.expect("waited for")
    }

    /// Sends a signal to this child alone; nothing happens when it has ended.
    ///
    /// # Errors
    /// EPERM when it has another user and we lack the right.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        signal::send(self.pidfd.as_fd(), signal)
    }
}
