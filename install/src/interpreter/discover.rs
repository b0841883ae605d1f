//! Where Pythons may be. Looks at names only; the probe decides what they are.

use std::{
    collections::HashSet,
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// Looked at after PATH: where images and distributions put their Python.
const USUAL_DIRECTORIES: [&str; 2] = ["/usr/local/bin", "/usr/bin"];

/// Paths of interpreters, best first: those `given`, then `python3` and the numbered ones (newest first) of each
/// directory in `path` and of the usual directories. One file under two names is listed once.
pub fn candidates(given: &[PathBuf], path: &OsStr) -> Vec<PathBuf> {
    let directories = env::split_paths(path).chain(USUAL_DIRECTORIES.map(PathBuf::from));
    let found = directories.filter(|dir| dir.is_absolute()).flat_map(|dir| in_directory(&dir));
    let mut seen = HashSet::new();
    given
        .iter()
        .cloned()
        .chain(found)
        .filter(|python| fs::canonicalize(python).is_ok_and(|real| real.is_file() && seen.insert(real)))
        .collect()
}

fn in_directory(dir: &Path) -> Vec<PathBuf> {
    let Ok(names) = fs::read_dir(dir) else { return Vec::new() };
    let mut minors: Vec<u32> =
        names.flatten().filter_map(|entry| entry.file_name().to_str().and_then(minor_version)).collect();
    minors.sort_unstable_by(|a, b| b.cmp(a));
    let numbered = minors.into_iter().map(|minor| dir.join(format!("python3.{minor}")));
    std::iter::once(dir.join("python3")).chain(numbered).collect()
}

/// 11 of `python3.11`.
fn minor_version(name: &str) -> Option<u32> {
    name.strip_prefix("python3.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn given_ones_come_first_and_each_file_once() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let given = dir.path().join("mine");
        fs::write(&given, "").expect("writable");
        for name in ["python3.9", "python3.11", "python3.11-config", "pythonX"] {
            fs::write(dir.path().join(name), "").expect("writable");
        }
        symlink("python3.9", dir.path().join("python3")).expect("writable");
        let found = candidates(std::slice::from_ref(&given), dir.path().as_os_str());
        let expected = vec![given, dir.path().join("python3"), dir.path().join("python3.11")];
        assert_eq!(found[..3], expected);
    }

    #[test]
    fn relative_and_missing_directories_give_nothing() {
        let found = candidates(&["/nowhere/python3".into()], OsStr::new("bin:/nowhere:"));
        assert!(found.iter().all(|path| path.starts_with("/usr")), "{found:?}");
    }
}
