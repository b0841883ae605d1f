//! The first layer: names that are safe as one directory of a cgroup file system.

use std::{fmt, str::FromStr};

/// Longest file name of a Linux file system in bytes (NAME_MAX), less one for the mark below.
const NAME_BYTES_MAX: usize = 254;

/// Files of a v1 group whose names could be a group's: such a group gets a mark in front, `_`.
const RESERVED: [&str; 1] = ["tasks"];

/// One directory's name: letters, digits and `-`, so that it can be neither a path nor a control file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(String);

/// The text given is no name for a group.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("name a control group {shown:?}: use 1 to {NAME_BYTES_MAX} of a-z, A-Z, 0-9 and -")]
pub struct BadName {
    shown: String,
}

impl GroupName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        if !(1..=NAME_BYTES_MAX).contains(&text.len()) || !text.as_bytes().iter().all(allowed) {
            return Err(BadName { shown: text.chars().take(NAME_BYTES_MAX).collect() });
        }
        Ok(if RESERVED.contains(&text) { Self(format!("_{text}")) } else { Self(text.to_owned()) })
    }
}

impl From<u64> for GroupName {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_directory_and_no_control_file() {
        for bad in ["", ".", "..", "a/b", "cgroup.procs", "a b", "ä", "_tasks", &"x".repeat(255)] {
            assert!(bad.parse::<GroupName>().is_err(), "{bad}");
        }
        assert_eq!("etl-2".parse::<GroupName>().expect("a name").as_str(), "etl-2");
    }

    #[test]
    fn an_environment_called_like_a_control_file_gets_its_group() {
        assert_eq!("tasks".parse::<GroupName>().expect("a name").as_str(), "_tasks");
    }
}
