//! The way to a code server: connects to its socket and trusts nothing of what lies at the path.
//!
//! The code server owns the directory of its socket. Without these checks it could put a link to the control socket
//! there and have pexvisor, which is uid 0, carry calls to it. What is spoken on the connection is no concern here.

use std::{
    fmt, io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::{
        socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt::PeerCredentials},
        stat::{Mode, SFlag, fstat},
    },
};
use tokio::net::UnixStream;

/// First pause when the code server's accept queue is full; each next one is twice as long.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(1);
/// Pauses before a full accept queue counts as a failure: 1 + 2 + … + 512 ms, about one second in all.
const FULL_QUEUE_TRIES: u32 = 10;

/// Tells whether a process is of the generation that this socket belongs to.
pub type OwnerCheck = Arc<dyn Fn(i32) -> bool + Send + Sync>;

/// The socket of one generation's code server.
#[derive(Clone)]
pub struct CodeSocket {
    path: PathBuf,
    is_owner: OwnerCheck,
}

/// No connection to the code server. Display completes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing is there, or nobody listens.
    #[error("find the code server listening at {0}")]
    NotThere(PathBuf),
    /// A link, which is not followed, or another kind of file.
    #[error("connect to {0}: it is a link or no socket, and neither is trusted; the code server must bind it itself")]
    NotASocket(PathBuf),
    /// The socket belongs to a process of someone else.
    #[error("connect to {path}: process {pid} listens there, which is not of this generation")]
    Foreign {
        /// The path of the socket.
        path: PathBuf,
        /// The process that listens.
        pid: i32,
    },
    /// The kernel refuses, or the accept queue stays full.
    #[error("connect to {path}")]
    Io {
        /// The path of the socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl CodeSocket {
    /// The socket at `path`, to be trusted when `is_owner` holds for the process that listens there.
    pub fn new(path: PathBuf, is_owner: OwnerCheck) -> Self {
        Self { path, is_owner }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Connects, and checks who is at the other end before a byte is sent. Takes a second at most.
    pub async fn connect(&self) -> Result<UnixStream, ConnectError> {
        let node = self.node()?;
        let stream = self.connect_to(&node).await?;
        let owner = getsockopt(&stream, PeerCredentials).map_err(|errno| self.io(errno))?;
        if !(self.is_owner)(owner.pid()) {
            return Err(ConnectError::Foreign { path: self.path.clone(), pid: owner.pid() });
        }
        let stream = std::os::unix::net::UnixStream::from(stream);
        UnixStream::from_std(stream).map_err(|source| ConnectError::Io { path: self.path.clone(), source })
    }

    /// The very inode, so that what is checked is what is connected to.
    fn node(&self) -> Result<OwnedFd, ConnectError> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let node = open(&self.path, flags, Mode::empty()).map_err(|errno| self.io(errno))?;
        let found = fstat(&node).map_err(|errno| self.io(errno))?;
        let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFSOCK { Ok(node) } else { Err(ConnectError::NotASocket(self.path.clone())) }
    }

    async fn connect_to(&self, node: &OwnedFd) -> Result<OwnedFd, ConnectError> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(|errno| self.io(errno))?;
        let through = format!("/proc/self/fd/{}", node.as_raw_fd());
        let address = UnixAddr::new(through.as_str()).map_err(|errno| self.io(errno))?;
        let mut pause = FULL_QUEUE_PAUSE;
        for _ in 0..FULL_QUEUE_TRIES {
            match connect(stream.as_raw_fd(), &address) {
                // A unix socket connects at once or not at all: EAGAIN says that the accept queue is full (connect(2)).
                Err(Errno::EAGAIN) => tokio::time::sleep(pause).await,
                Err(errno) => return Err(self.io(errno)),
                Ok(()) => return Ok(stream),
            }
            pause *= 2;
        }
        Err(self.io(Errno::EAGAIN))
    }

    fn io(&self, errno: Errno) -> ConnectError {
        let path = self.path.clone();
        match errno {
            Errno::ENOENT | Errno::ENOTDIR | Errno::ECONNREFUSED => ConnectError::NotThere(path),
            _ => ConnectError::Io { path, source: errno.into() },
        }
    }
}

impl fmt::Debug for CodeSocket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("CodeSocket").field(&self.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    fn ours(path: &Path) -> CodeSocket {
        let us = std::process::id().cast_signed();
        CodeSocket::new(path.to_owned(), Arc::new(move |pid| pid == us))
    }

    #[tokio::test]
    async fn a_socket_of_the_generation_is_connected_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let listener = UnixListener::bind(&path).unwrap();
        ours(&path).connect().await.unwrap();
        listener.accept().unwrap();
    }

    #[tokio::test]
    async fn a_link_to_a_live_socket_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (control, path) = (dir.path().join("control.sock"), dir.path().join("s.sock"));
        let listener = UnixListener::bind(&control).unwrap();
        listener.set_nonblocking(true).unwrap();
        symlink(&control, &path).unwrap();
        assert!(matches!(ours(&path).connect().await, Err(ConnectError::NotASocket(_))));
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn a_regular_file_and_a_missing_or_dead_socket_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        assert!(matches!(ours(&path).connect().await, Err(ConnectError::NotThere(_))));
        std::fs::write(&path, "").unwrap();
        assert!(matches!(ours(&path).connect().await, Err(ConnectError::NotASocket(_))));
        std::fs::remove_file(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert!(matches!(ours(&path).connect().await, Err(ConnectError::NotThere(_))));
    }

    #[tokio::test]
    async fn a_foreign_process_is_refused_before_a_byte_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let script = "import socket,sys;s=socket.socket(socket.AF_UNIX);s.bind(sys.argv[1]);s.listen();print('up',flush=True);c,_=s.accept();print(len(c.recv(1)),flush=True)";
        let mut foreign = std::process::Command::new("/usr/bin/python3")
            .args(["-c", script, path.to_str().unwrap()])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = std::io::BufRead::lines(std::io::BufReader::new(foreign.stdout.take().unwrap()));
        assert_eq!(said.next().unwrap().unwrap(), "up");
        let refused = ours(&path).connect().await;
        let their_pid = foreign.id().cast_signed();
        assert!(matches!(refused, Err(ConnectError::Foreign { pid, .. }) if pid == their_pid));
        assert_eq!(said.next().unwrap().unwrap(), "0", "the foreign process read an end, not a byte");
        foreign.wait_with_output().unwrap();
    }

    #[tokio::test]
    async fn a_full_accept_queue_is_waited_for_and_then_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let queue_of_one = tokio::net::UnixSocket::new_stream().unwrap();
        queue_of_one.bind(&path).unwrap();
        let listener = queue_of_one.listen(0).unwrap();
        let _first = ours(&path).connect().await.unwrap();
        let socket = ours(&path);
        let waiting = tokio::spawn(async move { socket.connect().await.map(drop) });
        tokio::time::sleep(Duration::from_millis(50)).await;
        listener.accept().await.unwrap();
        waiting.await.unwrap().unwrap();
        assert!(matches!(ours(&path).connect().await, Err(ConnectError::Io { .. })));
    }
}
