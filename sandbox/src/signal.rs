//! Signals to a process that cannot have become another one: through its pidfd.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

pub use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

/// Opens the pidfd of `pid`: of a child that was not waited for yet, it is surely that child's.
///
/// # Errors
/// ESRCH when there is no such process, EINVAL for 0 and below.
pub fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).filter(|_| pid > 0).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends `signal` to the process of `pidfd`; one that has ended is no error.
///
/// # Errors
/// EPERM when the process belongs to another user and we lack the right.
pub fn send(pidfd: impl AsFd, signal: Signal) -> io::Result<()> {
    match pidfd_send_signal(pidfd, signal) {
        Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Sends `signal` to whatever process has the number `pid` now; none is no error.
///
/// # Errors
/// As [`send`].
pub fn send_to_pid(pid: i32, signal: Signal) -> io::Result<()> {
    match open_pidfd(pid) {
        Ok(pidfd) => send(pidfd, signal),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(()),
        Err(error) => Err(error),
    }
}
