//! The doors: addresses as they are written, sockets that listen, connections as they come in.
//!
//! What is spoken on a connection is no concern of a door, but for one thing: on unix sockets it mends the malformed
//! `:authority` of real gRPC clients (see [`authority`]).

mod address;
pub mod authority;
mod connection;
mod listener;
mod socket_file;

pub use address::{Address, SOCKET_PATH_BYTES_MAX};
pub use connection::{Connection, Peer};
pub use listener::{BindError, Listener};
pub use socket_file::SocketMode;

/// Largest header list (RFC 9113 section 6.5.2) that a door takes, in bytes. gRPC's clients stop at 8 to 16 KiB on their
/// own; what is served behind a door sets the same limit in h2.
pub const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
