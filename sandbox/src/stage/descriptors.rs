//! Step: every descriptor above 2 is closed by exec, whoever opened it and forgot to say so.

use std::{fs, io, os::fd::BorrowedFd};

use nix::libc;
use rustix::io::{FdFlags, fcntl_setfd};

/// First descriptor that is not the program's.
const FIRST: i32 = 3;

pub(super) fn close_on_exec() -> io::Result<()> {
    // Kernels before 5.9 and some seccomp profiles refuse the quick way.
    if mark_range() { Ok(()) } else { mark_each() }
}

fn mark_range() -> bool {
    // SAFETY: sets a flag on descriptors and closes none, so every owner in this process stays right. By number,
    // because the C library's own function would ask for glibc 2.34.
    let result = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    result == 0
}

fn mark_each() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(number @ FIRST..) = number else { continue };
        // SAFETY: the directory lists what is open, this process has one thread, and nothing is closed meanwhile.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl_setfd(fd, FdFlags::CLOEXEC)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsFd, AsRawFd};

    #[test]
    fn the_slow_way_marks_every_descriptor_too() {
        let file = fs::File::open("/dev/null").expect("/dev/null");
        fcntl_setfd(file.as_fd(), FdFlags::empty()).expect("a descriptor");
        mark_each().expect("/proc/self/fd");
        let flags = rustix::io::fcntl_getfd(file.as_fd()).expect("a descriptor");
        assert!(flags.contains(FdFlags::CLOEXEC) && file.as_raw_fd() >= FIRST);
    }
}
