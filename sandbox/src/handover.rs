//! The socket between the supervisor and its stage program: orders and a stdin go down, the first failure comes up.
//!
//! One stream socket, descriptor 0 of the stage program. It is close-on-exec there: the end of the stream without a
//! word means that the program runs. A socket and not two pipes, because a descriptor can travel through it; nothing
//! has to be inheritable in a process with many threads.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::Shutdown,
    os::fd::{AsFd, OwnedFd},
    os::unix::net::UnixStream,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use crate::{spec::Orders, stage::StepFailure};

/// Sent first: descriptors travel with at least one byte.
const GREETING: &[u8] = b"x";

/// The supervisor's side: all the stage program needs, then the end of the stream.
pub(crate) fn send_orders(mut socket: &UnixStream, orders: &Orders, stdin: Option<&OwnedFd>) -> io::Result<()> {
    let fds: Vec<_> = stdin.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    }
    sendmsg(socket, &[IoSlice::new(GREETING)], &mut ancillary, SendFlags::NOSIGNAL)?;
    socket.write_all(&serde_json::to_vec(orders)?)?;
    socket.shutdown(Shutdown::Write)
}

/// The stage program's side.
pub(crate) fn receive_orders(mut socket: &UnixStream) -> io::Result<(Orders, Option<OwnedFd>)> {
    let stdin = receive_greeting(socket)?;
    let mut text = Vec::new();
    socket.read_to_end(&mut text)?;
    Ok((serde_json::from_slice(&text)?, stdin))
}

fn receive_greeting(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0; GREETING.len()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    }))
}

/// The stage program's side: why the program will not run.
pub(crate) fn send_failure(mut socket: &UnixStream, failure: &StepFailure) -> io::Result<()> {
    socket.write_all(&serde_json::to_vec(failure)?)
}

/// The supervisor's side: blocks until the program runs (`None`) or a step failed.
pub(crate) fn receive_failure(mut socket: &UnixStream) -> io::Result<Option<StepFailure>> {
    let mut text = Vec::new();
    socket.read_to_end(&mut text)?;
    if text.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&text)?)) }
}
