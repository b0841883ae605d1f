//! The doors: addresses as they are written, sockets that listen, connections as they come in.
//!
//! What is spoken on a connection is no concern of a door.

mod address;
mod connection;
mod listener;
mod socket_file;

pub use address::{Address, BadAddress};
pub use connection::{Connection, Detached, Peer};
pub use listener::{BindError, Listener};
pub use socket_file::SocketMode;
