//! The second layer: one control file, read and written whole.
//!
//! The kernel takes one write call as one command, so there is no append and no buffering.

use std::{fs, io::Write, path::Path};

use super::{CgroupError, Operation};

/// Reads the whole file.
pub(super) fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(CgroupError::io(Operation::Read, path))
}

/// Writes `data` in one call; never creates a file.
pub(super) fn write(path: &Path, data: &str) -> Result<(), CgroupError> {
    let open = fs::File::options().write(true).open(path);
    let error = CgroupError::io(Operation::Write(data.to_owned()), path);
    open.and_then(|mut file| file.write_all(data.as_bytes())).map_err(error)
}

/// The number in the file; `None` when it has none (`max`), or cannot be read.
pub(super) fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The number after `key` in a file of `key number` lines; `None` when there is none.
pub(super) fn keyed_number(path: &Path, key: &str) -> Option<u64> {
    keyed(&fs::read_to_string(path).ok()?, key)
}

pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(name, _)| *name == key).and_then(|(_, value)| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_matched_whole() {
        let events = "oom 1\noom_kill 23\noom_group_kill 4\n";
        assert_eq!(keyed(events, "oom_kill"), Some(23));
        assert_eq!(keyed(events, "oo"), None);
    }

    #[test]
    fn a_failed_write_names_operation_path_and_data() {
        let error = write(Path::new("/nowhere/memory.max"), "1024").expect_err("no such directory");
        assert_eq!(error.to_string(), r#"write "1024" to "/nowhere/memory.max""#);
        assert_eq!(error.errno(), Some(nix::libc::ENOENT));
    }
}
