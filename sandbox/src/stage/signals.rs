//! Step: every signal at its default and none blocked, whatever the supervisor has ignored or blocked.
//!
//! An ignored signal stays ignored across exec. Rust programs start with SIGPIPE ignored, and glibc's posix_spawn
//! ignores the two signals that it keeps to itself.

use std::io;

use nix::{libc, sys::signal::SigSet};

/// Highest signal number on Linux (signal(7)).
const SIGNAL_MAX: libc::c_int = 64;

/// The kernel's own struct sigaction (not the C library's): handler, flags, restorer, mask; nowhere larger than this.
/// All zero it means: SIG_DFL, no flags, empty mask.
const DEFAULT_ACTION: [u64; 4] = [0; 4];

/// Bytes of the kernel's signal mask.
const MASK_BYTES: usize = 8;

pub(super) fn reset() -> io::Result<()> {
    for number in 1..=SIGNAL_MAX {
        let no_old_action = std::ptr::null_mut::<u64>();
        // SAFETY: the kernel reads at most 32 bytes of the action and writes nothing. SIG_DFL installs no handler, so
        // no code of ours can run at a bad time. An error (EINVAL for SIGKILL and SIGSTOP) leaves a signal that
        // cannot be ignored anyway. A system call, because the C library refuses the two numbers that it keeps.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, number, DEFAULT_ACTION.as_ptr(), no_old_action, MASK_BYTES);
        }
    }
    Ok(SigSet::empty().thread_set_mask()?)
}
