//! Step: the usual file mode mask, whatever the supervisor's own is.

use rustix::fs::Mode;

/// Files are writable by their owner alone.
const MASK: Mode = Mode::from_raw_mode(0o022);

pub(super) fn set() {
    rustix::process::umask(MASK);
}
