//! Data files of wheels in the venv's root (`share/`, `etc/`, `include/`): links, real directories where several meet.

use std::{fs, path::Path};

use super::{Installed, VenvError, at, link};

/// Levels that are merged; deeper ones stay links of whoever came first. The archive's own limit is 64.
const DEPTH_MAX: usize = 64;

/// Links the data of all installs into `venv`. What is there already stays: the venv's own files, and the first
/// install's.
pub(super) fn link_all(installs: &[Installed], venv: &Path) -> Result<(), VenvError> {
    for install in installs.iter().filter(|install| install.manifest.has_data) {
        merge(&install.directory.join("data"), venv, DEPTH_MAX)?;
    }
    Ok(())
}

fn merge(from: &Path, into: &Path, depth: usize) -> Result<(), VenvError> {
    for entry in fs::read_dir(from).map_err(at(from))? {
        let name = entry.map_err(at(from))?.file_name();
        let (source, place) = (from.join(&name), into.join(&name));
        let Ok(there) = place.symlink_metadata() else {
            link(&place, &source)?;
            continue;
        };
        if depth == 0 || !source.is_dir() || !place.is_dir() {
            continue;
        }
        if there.is_symlink() {
            unfold(&place)?;
        }
        merge(&source, &place, depth - 1)?;
    }
    Ok(())
}

/// Makes the link to a directory a directory of links.
fn unfold(place: &Path) -> Result<(), VenvError> {
    let target = fs::read_link(place).map_err(at(place))?;
    fs::remove_file(place).map_err(at(place))?;
    fs::create_dir(place).map_err(at(place))?;
    merge(&target, place, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_meet_are_unfolded_and_the_first_file_stays() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (a, b, venv) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("venv"));
        for (root, file, text) in
            [(&a, "share/x/one", "a"), (&a, "share/same", "a"), (&b, "share/x/two", "b"), (&b, "share/same", "b")]
        {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("joined")).expect("writable");
            fs::write(path, text).expect("writable");
        }
        fs::create_dir(&venv).expect("writable");
        fs::write(venv.join("own"), "venv").expect("writable");
        fs::write(b.join("own"), "b").expect("writable");
        for from in [&a, &b] {
            merge(from, &venv, DEPTH_MAX).expect("merges");
        }
        let text = |path: &str| fs::read_to_string(venv.join(path)).expect(path);
        assert_eq!((text("share/x/one"), text("share/x/two")), ("a".into(), "b".into()));
        assert_eq!((text("share/same"), text("own")), ("a".into(), "venv".into()));
    }
}
