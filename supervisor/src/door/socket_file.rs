//! The file of a unix socket that listens: made with its mode, replaced when stale, removed at the end.

use std::{
    fs, io,
    os::fd::AsRawFd,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
        stat::{Mode, fchmod},
    },
};
use tokio::net::{UnixListener, UnixSocket};

use super::{Address, BindError, listener::BACKLOG};

/// Who may connect to a unix socket. A directory that must be made for it is as open as the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketMode {
    /// 0600, in a directory of mode 0700: our own user.
    Owner,
    /// 0666, in a directory of mode 0755: every user of this host.
    Everyone,
}

/// Our socket in the file system: goes with the listener, unless another has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl SocketFile {
    /// Listens at `path`. A socket that a dead process left behind is replaced; anything else there is left alone.
    pub fn listen(path: &Path, mode: SocketMode) -> Result<(UnixListener, Self), BindError> {
        let prepare = |source| BindError::Prepare { path: path.to_owned(), source };
        let listen = |source| BindError::Listen { address: Address::Unix(path.to_owned()), source };
        make_directory(path, mode).map_err(prepare)?;
        remove_stale(path)?;
        let listener = bind_with_mode(path, mode).map_err(listen)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode.of_socket())).map_err(prepare)?;
        let device_and_inode = identity(path).map_err(prepare)?;
        Ok((listener, Self { path: path.to_owned(), device_and_inode }))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.device_and_inode) {
            // Nothing depends on it: the next start replaces what is left.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl SocketMode {
    fn of_socket(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everyone => 0o666,
        }
    }

    fn of_directory(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Everyone => 0o755,
        }
    }
}

/// The mode is set on the socket before it has a name, so at no instant is it wider than asked for.
/// The umask may still have narrowed it, so the caller sets it once more.
fn bind_with_mode(path: &Path, mode: SocketMode) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    fchmod(&socket, Mode::from_bits_truncate(mode.of_socket()))?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

fn make_directory(path: &Path, mode: SocketMode) -> io::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    if directory.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(mode.of_directory()).create(directory)
}

/// A socket nobody listens on any more is removed; anything else at the path is left alone.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let prepare = |source| BindError::Prepare { path: path.to_owned(), source };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(prepare(error)),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path.to_owned() });
    }
    match probe(path).map_err(|errno| prepare(errno.into()))? {
        Occupant::Nobody => fs::remove_file(path).map_err(prepare),
        Occupant::Listener => Err(BindError::InUse { path: path.to_owned() }),
    }
}

/// Who is at a socket's path.
enum Occupant {
    Nobody,
    Listener,
}

/// Tries to connect, without waiting for a listener whose accept queue is full.
fn probe(path: &Path) -> nix::Result<Occupant> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    match connect(socket.as_raw_fd(), &UnixAddr::new(path)?) {
        Ok(()) | Err(Errno::EAGAIN) => Ok(Occupant::Listener),
        Err(Errno::ECONNREFUSED) => Ok(Occupant::Nobody),
        Err(errno) => Err(errno),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_socket_and_its_new_directory_are_as_open_as_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode, socket, directory) in
            [("a", SocketMode::Owner, 0o600, 0o700), ("b", SocketMode::Everyone, 0o666, 0o755)]
        {
            let path = dir.path().join(name).join("s.sock");
            let _listening = SocketFile::listen(&path, mode).unwrap();
            assert_eq!((mode_of(&path), mode_of(path.parent().unwrap())), (socket, directory));
        }
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_ours_goes_with_the_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listening = SocketFile::listen(&path, SocketMode::Owner).unwrap();
        drop(listening);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_live_socket_and_a_file_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("live.sock");
        let _other = std::os::unix::net::UnixListener::bind(&live).unwrap();
        assert!(matches!(SocketFile::listen(&live, SocketMode::Owner), Err(BindError::InUse { .. })));
        let busy = dir.path().join("busy.sock");
        let queue_of_one = UnixSocket::new_stream().unwrap();
        queue_of_one.bind(&busy).unwrap();
        let _never_accepts = queue_of_one.listen(0).unwrap();
        let _waits = tokio::net::UnixStream::connect(&busy).await.unwrap();
        assert!(matches!(SocketFile::listen(&busy, SocketMode::Owner), Err(BindError::InUse { .. })));
        let file = dir.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert!(matches!(SocketFile::listen(&file, SocketMode::Owner), Err(BindError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_successor_at_the_same_path_keeps_its_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let ours = SocketFile::listen(&path, SocketMode::Owner).unwrap();
        fs::remove_file(&path).unwrap();
        let _successor = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(ours);
        assert!(path.exists());
    }
}
