//! The third layer: one directory of one hierarchy. What v1 and v2 have in common.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::libc;

use super::{CgroupError, GroupName, Operation, file};
use crate::kill::kill_all;

/// How long a killed group may take to become empty: processes that write a core or hang in a slow disk.
pub const EMPTY_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long rmdir may say EBUSY after the last process is gone: the kernel still takes it apart.
const REMOVE_WAIT_MAX: Duration = Duration::from_secs(1);

/// First pause between two looks; doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_micros(500);
/// Longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// One directory of a cgroup file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    path: PathBuf,
}

impl Group {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn child(&self, name: &GroupName) -> Self {
        self.fixed_child(name.as_str())
    }

    /// A child with a name that this crate chose.
    pub fn fixed_child(&self, name: &str) -> Self {
        Self { path: self.path.join(name) }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the directory; one that is there is fine.
    pub fn create(&self) -> Result<(), CgroupError> {
        match fs::create_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result.map_err(CgroupError::io(Operation::Create, &self.path)),
        }
    }

    /// Moves the process with all its threads here. One that has ended is an error (ESRCH).
    pub fn add(&self, pid: i32) -> Result<(), CgroupError> {
        file::write(&self.file("cgroup.procs"), &pid.to_string())
    }

    /// The processes of this group alone. A group that is gone has none.
    pub fn own_pids(&self) -> Result<Vec<i32>, CgroupError> {
        match file::read(&self.file("cgroup.procs")) {
            Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
            Err(error) if error.is_gone() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The processes of this group and of those below: a program may have made groups of its own.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        let mut pids = self.own_pids()?;
        for child in self.children()? {
            pids.extend(child.pids()?);
        }
        Ok(pids)
    }

    /// The groups right below. A group that is gone has none.
    pub fn children(&self) -> Result<Vec<Self>, CgroupError> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(CgroupError::io(Operation::List, &self.path))?,
        };
        let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        Ok(entries.flatten().filter(is_dir).map(|entry| Self::at(entry.path())).collect())
    }

    /// Removes this group and those below; all must be empty of processes. One that is gone is fine.
    pub fn remove(&self) -> Result<(), CgroupError> {
        for child in self.children()? {
            child.remove()?;
        }
        let busy = |error: &io::Error| error.raw_os_error() == Some(libc::EBUSY);
        let mut result = Ok(());
        wait_until(REMOVE_WAIT_MAX, || {
            result = fs::remove_dir(&self.path);
            !result.as_ref().is_err_and(busy)
        });
        match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(CgroupError::io(Operation::Remove, &self.path)),
        }
    }

    /// Removes this group if nothing is in it; whether that worked does not matter.
    pub fn remove_if_unused(&self) {
        // EBUSY and ENOTEMPTY say that another leaf lives here, ENOENT that another thread was quicker.
        let _ = fs::remove_dir(&self.path);
    }
}

/// Kills all `pids` of `group` without the kernel's help.
pub(super) fn kill_each(group: &Group, pids: impl Fn() -> Result<Vec<i32>, CgroupError>) -> Result<(), CgroupError> {
    let survivors = kill_all(pids)?.survivors;
    if survivors.is_empty() {
        return Ok(());
    }
    Err(CgroupError::StillAlive { path: group.path().to_owned(), pids: survivors })
}

/// Looks at growing intervals until `done` says so or `longest` is over; the last look's answer.
pub(crate) fn wait_until(longest: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + longest;
    let mut pause = PAUSE_MIN;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
