//! Which sources lack byte code, and which of them were really used.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Directories of a wheel's tree that hold no modules.
const NO_MODULES: [&str; 2] = ["scripts", "data"];

/// Where byte code is.
const CACHE: &str = "__pycache__";

/// A source file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub path: PathBuf,
    pub byte_code: PathBuf,
    /// What its relative imports start from, if its imports are wanted.
    pub package: Option<String>,
    /// When it was first read after it was installed: seconds since 1970; 0 if it was not.
    used_at: i64,
}

impl Source {
    /// The source at `path`; nothing if that is no name of a module.
    pub fn at(path: PathBuf, cache_tag: &str) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".py")?;
        let byte_code = path.with_file_name(CACHE).join(format!("{stem}.{cache_tag}.pyc"));
        Some(Self { path, byte_code, package: None, used_at: 0 })
    }
}

/// Where the modules of `tree` are, a wheel's tree or a `sources/`.
pub(super) fn modules_root(tree: &Path) -> PathBuf {
    let site = tree.join("site");
    // A wheel's tree may be there without any module.
    let is_wheel = site.is_dir() || NO_MODULES.iter().any(|name| tree.join(name).is_dir());
    if is_wheel { site } else { tree.to_path_buf() }
}

/// The sources in `tree` (a wheel's tree or a `sources/`) that lack byte code for `cache_tag`. Follows no link.
pub(super) fn without_byte_code(tree: &Path, cache_tag: &str) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    let root = modules_root(tree);
    if root.is_dir() {
        walk(&root, cache_tag, &mut found)?;
    }
    Ok(found)
}

fn walk(dir: &Path, cache_tag: &str, found: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        if kind.is_dir() {
            if name != CACHE {
                walk(&entry.path(), cache_tag, found)?;
            }
        } else if kind.is_file()
            && let Some(source) = Source::at(entry.path(), cache_tag)
            && !source.byte_code.exists()
        {
            found.push(Source { used_at: used_at(&entry.metadata()?), ..source });
        }
    }
    Ok(())
}

/// Installed files have equal access and modification times, so under `relatime` the first read moves the access
/// time. On a file system without access times nothing counts as used, and the order is the path's.
fn used_at(metadata: &fs::Metadata) -> i64 {
    let (read, written) = ((metadata.atime(), metadata.atime_nsec()), (metadata.mtime(), metadata.mtime_nsec()));
    if read > written { metadata.atime() } else { 0 }
}

/// The most recently used first; those that were never used by path, so that a resumed job goes on where it was.
pub(super) fn sort_by_use(sources: &mut [Source]) {
    sources.sort_by(|a, b| b.used_at.cmp(&a.used_at).then_with(|| a.path.cmp(&b.path)));
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{File, FileTimes},
        time::{Duration, SystemTime},
    };

    use super::*;

    fn source(root: &Path, name: &str) -> PathBuf {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("joined")).expect("writable");
        let file = File::create(&path).expect("writable");
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(315_532_800);
        file.set_times(FileTimes::new().set_accessed(old).set_modified(old)).expect("own file");
        path
    }

    #[test]
    fn files_that_were_read_come_first() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["site/a.py", "site/b.py", "site/pkg/c.py", "data/not.py"] {
            source(dir.path(), name);
        }
        let read = dir.path().join("site/pkg/c.py");
        fs::read(&read).expect("readable");
        // Where access times are not kept, the test sets what a read would.
        if fs::metadata(&read).expect("there").atime() == 315_532_800 {
            let times = FileTimes::new().set_accessed(SystemTime::now());
            File::options().append(true).open(&read).and_then(|file| file.set_times(times)).expect("own file");
        }
        let mut found = without_byte_code(dir.path(), "cpython-311").expect("readable");
        sort_by_use(&mut found);
        let names: Vec<_> = found.iter().map(|source| source.path.strip_prefix(dir.path()).expect("inside")).collect();
        assert_eq!(names, ["site/pkg/c.py", "site/a.py", "site/b.py"].map(Path::new));
    }

    #[test]
    fn what_has_byte_code_is_not_listed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        source(dir.path(), "a.py");
        source(dir.path(), "__pycache__/a.cpython-311.pyc");
        assert_eq!(without_byte_code(dir.path(), "cpython-311").expect("readable"), []);
        assert_eq!(without_byte_code(dir.path(), "cpython-312").expect("readable").len(), 1);
    }
}
