//! Step: a session and process group of its own, so that no terminal and no group signal of ours reaches the program.

use std::io;

pub(super) fn begin() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}
