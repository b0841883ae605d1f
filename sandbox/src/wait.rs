//! waitid(2) for the one owner of waiting: reaps children and says how they ended.
//!
//! Neither nix nor rustix does: nix loses the status of a child that a real-time signal ended, rustix the pid.

use std::{io, mem::MaybeUninit};

use nix::libc;

use crate::End;

/// Reaps one child that has ended, any child; `None` when none has, or when there are no children.
///
/// # Errors
/// None in practice.
pub fn reap_any() -> io::Result<Option<(i32, End)>> {
    waitid(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG)
}

/// Waits for the child `pid` and reaps it; `None` when it is no child of ours.
///
/// # Errors
/// EINTR when a signal handler ran.
pub fn reap(pid: i32) -> io::Result<Option<(i32, End)>> {
    let id = libc::id_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    waitid(libc::P_PID, id, libc::WEXITED)
}

fn waitid(kind: libc::idtype_t, id: libc::id_t, options: libc::c_int) -> io::Result<Option<(i32, End)>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` is writable and as large as the kernel's siginfo_t; the call keeps no pointer to it.
    let result = unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options) };
    if result != 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(None) } else { Err(error) };
    }
    // SAFETY: all bytes were zeroed, and zero is a valid siginfo_t (integers and pointers only).
    let info = unsafe { info.assume_init() };
    // SAFETY: the kernel fills the SIGCHLD fields for a child, and they are zero (so pid 0) without one (waitid(2)).
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let end = if info.si_code == libc::CLD_EXITED { End::Code(status) } else { End::Signal(status) };
    Ok((pid != 0).then_some((pid, end)))
}
