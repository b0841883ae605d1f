//! Step: descriptor 0. It starts as the socket to the supervisor and ends as the program's standard input.
//!
//! Descriptors 1 and 2 were the program's from the start.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

/// Moves the socket away from descriptor 0 to one that exec closes.
pub(super) fn take_socket() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr()?;
    Ok(socket)
}

/// Makes `stdin`, or /dev/null, descriptor 0.
pub(super) fn set_stdin(stdin: Option<OwnedFd>) -> io::Result<()> {
    let stdin = match stdin {
        Some(fd) => fd,
        None => File::open("/dev/null")?.into(),
    };
    nix::unistd::dup2_stdin(stdin)?;
    Ok(())
}
