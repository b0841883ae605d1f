//! Where a gRPC server answers, and with which metadata a call reaches the code server behind it.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// A listening address.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What a generator needs to know of one way to a code server.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: Address,
    pub metadata: HeaderMap,
}

impl Target {
    /// Straight to a server, no routing.
    pub fn plain(address: Address) -> Self {
        Self { address, metadata: HeaderMap::new() }
    }

    /// Adds a piece of routing metadata.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("routing values here are names and numbers");
        self.metadata.insert(HeaderName::from_static(name), value);
        self
    }
}

/// An address on loopback whose port was free a moment ago.
pub fn free_loopback() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
