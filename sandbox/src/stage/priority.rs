//! Step: a lower priority. Never a higher one: containers refuse it.

use std::io;

pub(super) fn lower(nice: u8) -> io::Result<()> {
    if nice > 0 {
        rustix::process::nice(i32::from(nice))?;
    }
    Ok(())
}
