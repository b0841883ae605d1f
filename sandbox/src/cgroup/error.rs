//! What can go wrong with a control group: each error says the operation, the path and the data written.

use std::{fmt, io, path::PathBuf};

use nix::libc;

/// A control group did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The kernel refused an operation on a file or directory.
    #[error("{operation} {path:?}")]
    Io {
        /// What was done.
        operation: Operation,
        /// To which file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A v1 controller refused a value.
    #[error("apply {data} to {path:?}")]
    Apply {
        /// The values.
        data: String,
        /// The group.
        path: PathBuf,
        /// What the controller said.
        source: cgroups_rs::fs::error::Error,
    },
    /// The supervisor ends; nothing is started any more.
    #[error("make a cgroup: the supervisor is shutting down")]
    Closed,
    /// Processes survived SIGKILL: they hang in the kernel.
    #[error("empty {path:?}: processes {pids:?} do not die")]
    StillAlive {
        /// The group.
        path: PathBuf,
        /// The survivors.
        pids: Vec<i32>,
    },
}

/// What was done to a control file or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// mkdir(2).
    Create,
    /// rmdir(2).
    Remove,
    /// readdir(3).
    List,
    /// read(2).
    Read,
    /// write(2) of this text.
    Write(String),
    /// Waiting for an event of the file.
    Wait,
    /// A signal to a process of the group.
    Kill,
}

impl CgroupError {
    pub(super) fn io(operation: Operation, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    /// Does it say that the group is not there any more? A file opened just before the end answers ENODEV.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOENT | libc::ENODEV))
    }

    /// The errno when the kernel refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            Self::Apply { .. } | Self::Closed | Self::StillAlive { .. } => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => out.write_str("create"),
            Self::Remove => out.write_str("remove"),
            Self::List => out.write_str("list"),
            Self::Read => out.write_str("read"),
            Self::Write(data) => write!(out, "write {data:?} to"),
            Self::Wait => out.write_str("wait for"),
            Self::Kill => out.write_str("kill the processes of"),
        }
    }
}

/// An error with its causes in one line, for a reason that is kept as text.
pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
