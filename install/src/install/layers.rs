//! What the forests of an install are merged from: user code first, then the wheels in pex order.

use super::layout::Layout;
use crate::{
    archive::{Archive, EntryReader},
    forest::{FileMeetsDirectory, Layer, LayerFile, Merge, Plan, scheme_directory},
    pex::{self, Scheme},
};

/// Who brings a pex's own files, where collisions are reported.
const USER_CODE: &str = "user code";

impl Layout<'_> {
    /// The forest of one scheme: user code first (only in site-packages), then the wheels in pex order.
    pub(super) fn plan(&self, scheme: Scheme, keys: &[String]) -> Result<Plan, FileMeetsDirectory> {
        let (name, cache_tag) = match scheme {
            Scheme::Site => ("site-packages", Some(self.interpreter.cache_tag.as_str())),
            _ => ("data", None),
        };
        let data_paths: Vec<Vec<String>> = self.chosen.iter().map(|&at| self.data_paths(at)).collect();
        let mut layers = Vec::new();
        if scheme == Scheme::Site {
            layers.push(self.source_layer());
        }
        for ((key, &at), data_paths) in keys.iter().zip(self.chosen).zip(&data_paths) {
            layers.push(self.wheel_layer(scheme, key, at, data_paths));
        }
        let first_wheel = layers.len() - keys.len();
        let archive = |layer: usize| {
            let nested = layer.checked_sub(first_wheel).and_then(|at| self.pex.dists[self.chosen[at]].nested.as_ref());
            nested.unwrap_or(&self.pex.archive)
        };
        let same = |a: (usize, usize), b: (usize, usize)| same_init((archive(a.0), a.1), (archive(b.0), b.1));
        let (used_at, made_at) = (self.used_at().join(name), self.made_at().join(name));
        Merge { layers: &layers, used_at: &used_at, made_at: &made_at, cache_tag, same: &same }.plan()
    }

    fn source_layer(&self) -> Layer<'_> {
        let entries = self.pex.archive.entries();
        let file = |&entry: &usize| LayerFile {
            path: &entries[entry].path,
            identity: (entries[entry].size, entries[entry].crc),
            is_directory: !entries[entry].is_file(),
            entry,
        };
        let mut files: Vec<LayerFile<'_>> = self.pex.sources.iter().map(file).collect();
        files.sort_by_cached_key(|file| pex::sort_key(file.path));
        Layer { owner: USER_CODE, root: self.used_at().join("sources"), files }
    }

    /// Paths in `data/` of a distribution's files, one for each of its files; empty where a file is none.
    fn data_paths(&self, at: usize) -> Vec<String> {
        let files = &self.pex.dists[at].files;
        let is_data = |scheme| matches!(scheme, Scheme::Data | Scheme::Headers);
        let path = |file: &pex::Placed| is_data(file.scheme).then(|| self.path_of(file.scheme, &file.path));
        files.iter().map(|file| path(file).unwrap_or_default()).collect()
    }

    fn wheel_layer<'a>(&'a self, scheme: Scheme, key: &str, at: usize, data_paths: &'a [String]) -> Layer<'a> {
        let dist = &self.pex.dists[at];
        let archive = dist.nested.as_ref().unwrap_or(&self.pex.archive);
        let wanted = dist.files.iter().zip(data_paths).filter(|(file, data)| match scheme {
            Scheme::Site => file.scheme == Scheme::Site,
            _ => !data.is_empty(),
        });
        let file = |(file, data): (&'a pex::Placed, &'a String)| LayerFile {
            path: if scheme == Scheme::Site { &file.path } else { data },
            identity: (archive.entries()[file.entry].size, archive.entries()[file.entry].crc),
            is_directory: false,
            entry: file.entry,
        };
        let mut files: Vec<LayerFile<'_>> = wanted.map(file).collect();
        if scheme != Scheme::Site {
            files.sort_by_cached_key(|file| pex::sort_key(file.path));
        }
        Layer { owner: &dist.file_name, root: self.wheel_tree(key).join(scheme_directory(scheme)), files }
    }
}

/// Whether two files are `__init__.py`s that differ in comments and blank lines alone: pex lets those pass.
fn same_init(a: (&Archive, usize), b: (&Archive, usize)) -> bool {
    let text = |(archive, at): (&Archive, usize)| {
        let entry = &archive.entries()[at];
        let is_init = entry.path.ends_with("/__init__.py");
        let text = is_init
            .then(|| EntryReader::default().with(archive, entry, |bytes| String::from_utf8_lossy(bytes).into_owned()));
        text.and_then(Result::ok).map(|text| code_lines(&text))
    };
    text(a).zip(text(b)).is_some_and(|(a, b)| a == b)
}

fn code_lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_end);
    lines.filter(|line| !line.is_empty() && !line.trim_start().starts_with('#')).map(str::to_owned).collect()
}
