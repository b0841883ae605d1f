//! The name of an environment, and the short form of it that fits into socket paths.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Longest name in bytes: a DNS label (RFC 1035), because the first label of `:authority` is a route.
pub const NAME_BYTES_MAX: usize = 63;

/// A name that matches `[a-z][a-z0-9-]{0,62}`: safe as a file name, a DNS label, a cgroup name and a metric label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentName(String);

/// The text given is no environment name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("use a name of a-z, 0-9 and -, starting with a letter, of 1 to {NAME_BYTES_MAX} characters; got {shown:?}")]
pub struct BadName {
    /// The start of what was given.
    shown: String,
}

impl EnvironmentName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Eight hex digits that stand for the name where a path must be short (a socket path holds 108 bytes, unix(7)).
    pub fn short_hash(&self) -> String {
        Sha256::digest(self.0.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromStr for EnvironmentName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        if fits && text.as_bytes()[0].is_ascii_lowercase() && text.as_bytes().iter().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(BadName { shown: text.chars().take(NAME_BYTES_MAX + 1).collect() })
    }
}

impl TryFrom<String> for EnvironmentName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<EnvironmentName> for String {
    fn from(name: EnvironmentName) -> Self {
        name.0
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label_that_starts_with_a_letter() {
        for good in ["a", "etl", "etl-2", &"x".repeat(63)] {
            assert!(good.parse::<EnvironmentName>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "A", "a/b", "a.b", "a b", "ä", "😀", "..", &"x".repeat(64), &"x".repeat(300)] {
            assert!(bad.parse::<EnvironmentName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_short_hash_has_eight_digits_and_tells_names_apart() {
        let hash = |name: &str| name.parse::<EnvironmentName>().expect("a good name").short_hash();
        assert_eq!(hash("etl").len(), 8);
        assert_ne!(hash("etl"), hash("etl2"));
    }
}
