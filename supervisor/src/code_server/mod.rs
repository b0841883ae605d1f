//! One code server: the process of one generation and the socket on which it answers.

mod socket;

pub use socket::{CodeSocket, ConnectError, OwnerCheck};
