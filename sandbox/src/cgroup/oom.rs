//! The kernel's word that a leaf ran out of memory, as a descriptor that becomes readable.
//!
//! On v2 the kernel kills the whole leaf with it (`memory.oom.group`). On v1 it kills one process, and whoever watches
//! must kill the rest: half a code server is worse than none.

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use nix::sys::eventfd::{EfdFlags, EventFd};
use rustix::fs::inotify;

use super::{
    CgroupError, Operation,
    file::{self, keyed_number},
    group::wait_until,
};

/// On v1 the word comes before the kill; how long the kill may take, or not come because memory was freed.
const KILL_WAIT_MAX: Duration = Duration::from_millis(500);

/// Room for a few inotify events without names; what does not fit is read the next time.
const EVENT_BYTES: usize = 256;

/// Watches one leaf. Its descriptor is readable once something has happened; then call [`OomEvents::take`].
#[derive(Debug)]
pub struct OomEvents {
    descriptor: OwnedFd,
    counter: std::path::PathBuf,
    seen: u64,
}

impl OomEvents {
    /// v1: an eventfd, registered for the file that has the counter.
    pub(super) fn of_v1(group: &Path) -> Result<Self, CgroupError> {
        let counter = group.join("memory.oom_control");
        let failed = |error: nix::Error| CgroupError::io(Operation::Wait, &counter)(error.into());
        let eventfd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map_err(failed)?;
        let file = File::open(&counter).map_err(CgroupError::io(Operation::Read, &counter))?;
        let registration = format!("{} {}", eventfd.as_fd().as_raw_fd(), file.as_raw_fd());
        file::write(&group.join("cgroup.event_control"), &registration)?;
        Ok(Self::starting_now(eventfd.into(), counter))
    }

    /// v2: inotify tells of every change of the file that has the counter.
    pub(super) fn of_v2(group: &Path) -> Result<Self, CgroupError> {
        let counter = group.join("memory.events");
        let failed = |error: rustix::io::Errno| CgroupError::io(Operation::Wait, &counter)(error.into());
        let watcher = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).map_err(failed)?;
        inotify::add_watch(&watcher, &counter, inotify::WatchFlags::MODIFY).map_err(failed)?;
        Ok(Self::starting_now(watcher, counter))
    }

    fn starting_now(descriptor: OwnedFd, counter: std::path::PathBuf) -> Self {
        let seen = keyed_number(&counter, "oom_kill").unwrap_or(0);
        Self { descriptor, counter, seen }
    }

    /// Clears the descriptor; did the OOM killer end a process since the last call? Blocks for up to 500 ms.
    pub fn take(&mut self) -> bool {
        // Nothing to read is fine: another word may have been taken with the last one.
        let _ = rustix::io::read(&self.descriptor, &mut [0; EVENT_BYTES][..]);
        wait_until(KILL_WAIT_MAX, || {
            let now = keyed_number(&self.counter, "oom_kill").unwrap_or(0);
            std::mem::replace(&mut self.seen, now) < now
        })
    }
}

impl AsFd for OomEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for OomEvents {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.descriptor.as_raw_fd()
    }
}
