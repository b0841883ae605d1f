//! Where the supervisor's control API listens, as a user writes it.

use std::{fmt, path::PathBuf, str::FromStr};

/// The supervisor's default: in its default state directory.
pub const DEFAULT: &str = "unix:/var/lib/pexvisor/control/control.sock";

/// A control address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAddress {
    /// `unix:/path`.
    Unix(PathBuf),
    /// `http://host:port` or `host:port`.
    Tcp(String),
}

/// The text given is no control address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("use unix:/path, http://host:port or host:port; got {0:?}")]
pub struct BadAddress(String);

impl FromStr for ControlAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            // Both forms of the URI are common: unix:/path and unix:///path.
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(bad()) };
        }
        let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let (host, port) = authority.rsplit_once(':').ok_or_else(bad)?;
        if host.is_empty() || host.contains('/') || port.parse::<u16>().is_err() {
            return Err(bad());
        }
        Ok(Self::Tcp(authority.to_owned()))
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Tcp(authority) => write!(out, "http://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_common_form_of_an_address_is_taken() {
        let unix = |path: &str| Ok(ControlAddress::Unix(path.into()));
        let tcp = |text: &str| Ok(ControlAddress::Tcp(text.to_owned()));
        assert_eq!("unix:/a/b.sock".parse(), unix("/a/b.sock"));
        assert_eq!("unix:///a/b.sock".parse(), unix("/a/b.sock"));
        assert_eq!("http://host:4265".parse(), tcp("host:4265"));
        assert_eq!("http://host:4265/".parse(), tcp("host:4265"));
        assert_eq!("[::1]:4265".parse(), tcp("[::1]:4265"));
        assert!(DEFAULT.parse::<ControlAddress>().is_ok());
    }

    #[test]
    fn anything_else_is_refused_with_the_forms_there_are() {
        for bad in ["", "unix:", "unix:a.sock", "/a/b.sock", "host", "https://host:1", "http://host", "host:99999"] {
            let error = bad.parse::<ControlAddress>().expect_err(bad).to_string();
            assert!(error.contains("unix:/path"), "{error}");
        }
    }
}
