//! Step: the user and group of the program.
//!
//! Groups first, the user last: after it the right to change the others is gone.

use std::io;

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::spec::Ids;

pub(super) fn become_user(ids: Option<Ids>) -> io::Result<()> {
    let Some(Ids { uid, gid }) = ids else { return Ok(()) };
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    Ok(setresuid(uid, uid, uid)?)
}
