//! The supervisor's own limit of open files: every call, code server and follower costs some.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, and returns what it was, for the children: Python code that uses select(2)
/// breaks at descriptor 1024, which is why the soft limit is usually that. `None` when there is none.
pub fn raise_open_files() -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before }) {
        tracing::warn!(%error, limit = before.current, "cannot raise the limit of open files");
    }
    before.current
}
