//! A wheel's RECORD, written anew: `importlib.metadata.files` must find the files where they are now.
//!
//! Hashes and sizes are taken over from the wheel's own RECORD, where it has them; old pexes (2.59) have none at all.
//! Seen from `site-packages/`, scripts and data are in `../scripts/` and `../data/`, in a wheel's tree and in an install.

use std::collections::HashMap;

use super::layout::Layout;
use crate::{
    archive::{EntryReader, ZipError},
    pex::{Dist, Placed, Scheme},
};

impl Layout<'_> {
    /// The RECORD of `dist`: its path in site-packages, and its text.
    pub(super) fn record(&self, dist: &Dist) -> Result<(String, String), ZipError> {
        let archive = dist.nested.as_ref().unwrap_or(&self.pex.archive);
        let own_path = record_path(dist);
        let own = dist.files.iter().find(|file| is_record(dist, file));
        let text = match own {
            Some(file) => EntryReader::default()
                .with(archive, &archive.entries()[file.entry], |bytes| String::from_utf8_lossy(bytes).into_owned())?,
            None => String::new(),
        };
        let claims: HashMap<String, &str> = text.lines().filter_map(claim).collect();
        let prefix = if dist.nested.is_some() { 0 } else { dist.tree_prefix().len() };
        let listed = dist.files.iter().filter(|file| !is_record(dist, file) && !is_wrapper(dist, file));
        let mut lines: Vec<String> = listed
            .map(|file| {
                let claim = claims.get(&archive.entries()[file.entry].path[prefix..]).unwrap_or(&",");
                format!("{},{claim}\n", quoted(&self.record_name(file)))
            })
            .collect();
        lines.push(format!("{},,\n", quoted(&own_path)));
        Ok((own_path, lines.concat()))
    }

    fn record_name(&self, file: &Placed) -> String {
        let path = self.path_of(file.scheme, &file.path);
        match file.scheme {
            Scheme::Site => path,
            Scheme::Scripts => format!("../scripts/{path}"),
            Scheme::Data | Scheme::Headers => format!("../data/{path}"),
        }
    }
}

fn record_path(dist: &Dist) -> String {
    format!("{}/RECORD", dist.dist_info)
}

/// Whether the file is the distribution's own RECORD.
pub(super) fn is_record(dist: &Dist, file: &Placed) -> bool {
    file.scheme == Scheme::Site && file.path.strip_prefix(&dist.dist_info) == Some("/RECORD")
}

/// A console script that pex wrote into its tree: it is rendered for each venv, so it is no file of the wheel.
pub(super) fn is_wrapper(dist: &Dist, file: &Placed) -> bool {
    file.scheme == Scheme::Scripts && dist.scripts.contains_key(&file.path)
}

/// The path and the `hash,size` of a line.
fn claim(line: &str) -> Option<(String, &str)> {
    let (rest, _) = line.rsplit_once(',')?;
    let (path, _) = rest.rsplit_once(',')?;
    let unquoted = path.strip_prefix('"').and_then(|path| path.strip_suffix('"'));
    let name = unquoted.map_or_else(|| path.to_owned(), |path| path.replace("\"\"", "\""));
    Some((name, &line[path.len() + 1..]))
}

fn quoted(path: &str) -> String {
    if path.contains([',', '"']) { format!("\"{}\"", path.replace('"', "\"\"")) } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_from_its_end() {
        assert_eq!(claim("a/b.py,sha256=x,12"), Some(("a/b.py".into(), "sha256=x,12")));
        assert_eq!(claim("\"a,\"\"b\"\".py\",,"), Some(("a,\"b\".py".into(), ",")));
        assert_eq!(claim("nonsense"), None);
        assert_eq!(quoted("a,\"b\".py"), "\"a,\"\"b\"\".py\"");
    }
}
