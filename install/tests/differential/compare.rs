//! Two trees, file for file, links followed.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// How one path differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    OnlyOurs,
    OnlyTheirs,
    Bytes,
    /// One may be executed, the other not.
    Executable,
}

/// A path that differs.
#[derive(Debug)]
pub struct Difference {
    /// Relative to the venv; what is in site-packages begins with `site-packages/`.
    pub path: String,
    pub how: How,
}

/// All differences between the two trees; `name` goes before the paths.
pub fn trees(name: &str, ours: &Path, theirs: &Path) -> Vec<Difference> {
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    walk(ours, name, &mut left);
    walk(theirs, name, &mut right);
    let mut found = Vec::new();
    for (path, file) in &left {
        let how = match right.get(path) {
            None => Some(How::OnlyOurs),
            Some(other) if fs::read(file).ok() != fs::read(other).ok() => Some(How::Bytes),
            Some(other) => (is_executable(file) != is_executable(other)).then_some(How::Executable),
        };
        found.extend(how.map(|how| Difference { path: path.clone(), how }));
    }
    let only_theirs = right.keys().filter(|path| !left.contains_key(*path));
    found.extend(only_theirs.map(|path| Difference { path: path.clone(), how: How::OnlyTheirs }));
    found
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o100 != 0)
}

/// Files below `dir`; links that lead nowhere count too. `lib/` is left out: site-packages are compared apart.
fn walk(dir: &Path, name: &str, files: &mut BTreeMap<String, PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.map(|entry| entry.expect("readable")) {
        let child = entry.file_name().into_string().expect("UTF-8");
        if name.is_empty() && matches!(child.as_str(), "lib" | "lib64") {
            continue;
        }
        let path = if name.is_empty() { child.clone() } else { format!("{name}/{child}") };
        // Byte code is made when the code server is ready (pex: when a module is first imported).
        if child == "__pycache__" {
            continue;
        }
        if entry.path().is_dir() {
            walk(&entry.path(), &path, files);
        } else {
            files.insert(path, entry.path());
        }
    }
}
