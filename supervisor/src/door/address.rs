//! Where a door listens, as people write it: `host:port` or `unix:/path`.
//!
//! Names are not resolved here.

use std::{fmt, path::PathBuf, str::FromStr};

/// Longest path of a unix socket in bytes: sun_path holds 108 with the closing NUL (unix(7)).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

const UNIX_PREFIX: &str = "unix:";

/// Where a door listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `host:port`; an IPv6 address stands in brackets. Port 0 asks the kernel for a free one.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without its brackets.
        host: String,
        /// 0 to 65535.
        port: u16,
    },
    /// `unix:/path`, an absolute path of at most [`SOCKET_PATH_BYTES_MAX`] bytes.
    Unix(PathBuf),
}

/// The text given is no address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadAddress {
    /// There is no colon, or nothing before it.
    #[error("use host:port or unix:/path, such as 0.0.0.0:4266 (brackets around IPv6: [::]:4266); got {0:?}")]
    Shape(String),
    /// The port is no number that fits.
    #[error("use a port from 0 to 65535; got {0:?}")]
    Port(String),
    /// A unix path that depends on the working directory.
    #[error("use an absolute path after unix:; got {0:?}")]
    RelativePath(String),
    /// A unix path that the kernel cannot hold.
    #[error("use a socket path of at most {SOCKET_PATH_BYTES_MAX} bytes; got {0}")]
    LongPath(usize),
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        match text.strip_prefix(UNIX_PREFIX) {
            Some(path) => unix(path),
            None => tcp(text),
        }
    }
}

fn unix(path: &str) -> Result<Address, BadAddress> {
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(BadAddress::RelativePath(path.to_owned()));
    }
    if path.len() > SOCKET_PATH_BYTES_MAX {
        return Err(BadAddress::LongPath(path.len()));
    }
    Ok(Address::Unix(path.into()))
}

fn tcp(text: &str) -> Result<Address, BadAddress> {
    let shape = || BadAddress::Shape(text.to_owned());
    let (host, port) = text.rsplit_once(':').ok_or_else(shape)?;
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(shape)?,
        None if host.contains(':') => return Err(shape()),
        None => host,
    };
    if bare.is_empty() || bare.contains(|c: char| c.is_whitespace() || "/[]".contains(c)) {
        return Err(shape());
    }
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits => Ok(Address::Tcp { host: bare.to_owned(), port }),
        _ => Err(BadAddress::Port(port.to_owned())),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(out, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(out, "{host}:{port}"),
            Self::Unix(path) => write!(out, "{UNIX_PREFIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_it_was_written() {
        for text in ["0.0.0.0:4266", "localhost:0", "[::]:4267", "[fe80::1]:65535", "unix:/run/a b/c.sock"] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_to_write_instead() {
        for bad in ["", ":", ":80", "host", "::1:80", "[::1:80", "[]:80", "a b:80", "http://host:80", "/run/x.sock"] {
            let error = bad.parse::<Address>().expect_err(bad).to_string();
            assert!(error.starts_with("use "), "{error}");
        }
        for bad in ["host:", "host:65536", "host:-1", "host:+80", "host:x"] {
            assert!(matches!(bad.parse::<Address>(), Err(BadAddress::Port(_))), "{bad}");
        }
        for bad in ["unix:", "unix:x.sock", "unix:/", "unix:/a/"] {
            assert!(matches!(bad.parse::<Address>(), Err(BadAddress::RelativePath(_))), "{bad}");
        }
    }

    #[test]
    fn a_socket_path_that_the_kernel_cannot_hold_is_refused() {
        let path = |bytes: usize| format!("unix:/{}", "x".repeat(bytes - 1));
        assert!(path(107).parse::<Address>().is_ok());
        assert_eq!(path(108).parse::<Address>(), Err(BadAddress::LongPath(108)));
    }
}
