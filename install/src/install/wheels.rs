//! The wheel cache: which key a distribution has, which are missing, and putting those there.

use std::{path::PathBuf, sync::Mutex};

use sha2::{Digest as _, Sha256};

use super::{
    layout::Layout,
    record::{is_record, is_wrapper},
};
use crate::{
    archive::{Archive, EntryKind},
    forest::scheme_directory,
    interpreter::hex,
    pex::{Dist, Pex, Scheme},
    tree::{self, Executable, FileJob, TreeError},
};

/// Changes when the tree that is made of a wheel changes: old ones are then never found again.
const KEY_FORMAT: &str = "pexvisor wheel 1";

/// One stored thing that a key is computed over.
struct Item<'a> {
    /// Index of the distribution.
    dist: usize,
    name: String,
    archive: &'a Archive,
    entry: usize,
}

/// The keys of the distributions `chosen`: sha256 over their entries' names, modes and stored bytes, which needs
/// no inflating. PEX-INFO's own fingerprints are claims of a file that may lie.
pub(super) fn keys(pex: &Pex, chosen: &[usize]) -> Result<Vec<String>, TreeError> {
    let items: Vec<Item<'_>> =
        chosen.iter().enumerate().flat_map(|(dist, &at)| items(pex, dist, &pex.dists[at])).collect();
    let hashed = Mutex::new(vec![[0_u8; 32]; items.len()]);
    let numbered: Vec<(usize, &Item<'_>)> = items.iter().enumerate().collect();
    tree::in_parallel(&numbered, |reader, (at, item)| {
        let entry = &item.archive.entries()[item.entry];
        let hash: [u8; 32] = reader.with_stored(item.archive, entry, |bytes| Sha256::digest(bytes).into())?;
        hashed.lock().expect("no thread panics with it")[*at] = hash;
        Ok::<(), TreeError>(())
    })?;
    let hashed = hashed.into_inner().expect("no thread panics with it");
    Ok(chosen.iter().enumerate().map(|(dist, &at)| key(&pex.dists[at], dist, &items, &hashed)).collect())
}

fn items<'a>(pex: &'a Pex, dist: usize, of: &Dist) -> Vec<Item<'a>> {
    if let Some(entry) = of.wheel_entry {
        return vec![Item { dist, name: "wheel file".into(), archive: &pex.archive, entry }];
    }
    let name = |scheme, path: &str| format!("{}/{path}", scheme_directory(scheme));
    let files = of.files.iter();
    files
        .map(|file| Item { dist, name: name(file.scheme, &file.path), archive: &pex.archive, entry: file.entry })
        .collect()
}

fn key(of: &Dist, dist: usize, items: &[Item<'_>], hashes: &[[u8; 32]]) -> String {
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    field(KEY_FORMAT.as_bytes());
    field(of.file_name.as_bytes());
    for (item, digest) in items.iter().zip(hashes).filter(|(item, _)| item.dist == dist) {
        let entry = &item.archive.entries()[item.entry];
        field(item.name.as_bytes());
        field(&[u8::from(entry.kind == EntryKind::Executable), u8::from(entry.is_deflated())]);
        field(&entry.size.to_le_bytes());
        field(digest);
    }
    hex(&hash.finalize())
}

/// A wheel that is not in the cache yet.
pub(super) struct Missing<'a> {
    pub dist: &'a Dist,
    pub staged: PathBuf,
    pub published: PathBuf,
}

impl Layout<'_> {
    /// Where the wheel with `key` is, or will be.
    pub(super) fn wheel_tree(&self, key: &str) -> PathBuf {
        self.request.wheels.join(key).join(self.interpreter.key())
    }

    pub(super) fn missing_wheels(&self, keys: &[String]) -> Vec<Missing<'_>> {
        let mut missing = Vec::new();
        for (key, &at) in keys.iter().zip(self.chosen) {
            let published = self.wheel_tree(key);
            if !published.is_dir() {
                let staged = self.staging.join("wheels").join(key);
                missing.push(Missing { dist: &self.pex.dists[at], staged, published });
            }
        }
        missing
    }

    /// The files to write for a missing wheel.
    pub(super) fn wheel_jobs<'a>(&'a self, missing: &'a Missing<'_>) -> impl Iterator<Item = FileJob<'a>> {
        let archive = missing.dist.nested.as_ref().unwrap_or(&self.pex.archive);
        let dist = missing.dist;
        dist.files.iter().filter(|file| !is_record(dist, file) && !is_wrapper(dist, file)).map(move |file| {
            let path = missing.staged.join(scheme_directory(file.scheme)).join(self.path_of(file.scheme, &file.path));
            let executable = if file.scheme == Scheme::Scripts { Executable::Always } else { Executable::AsStored };
            FileJob { archive, entry: file.entry, path, executable }
        })
    }

    /// A file's path in its scheme's directory; headers go where this Python looks for them.
    pub(super) fn path_of(&self, scheme: Scheme, path: &str) -> String {
        match scheme {
            Scheme::Headers => format!("include/site/{}/{path}", self.interpreter.library_name()),
            Scheme::Site | Scheme::Scripts | Scheme::Data => path.to_owned(),
        }
    }

    pub(super) fn publish_wheels(&self, missing: &[Missing<'_>]) -> Result<(), TreeError> {
        for wheel in missing {
            tree::make_dir(&wheel.staged)?;
            let (record, text) = self.record(wheel.dist)?;
            let site = wheel.staged.join(scheme_directory(Scheme::Site));
            tree::write_text(&site.join(record), text.as_bytes())?;
            tree::make_dir(wheel.published.parent().expect("it is joined to a directory"))?;
            tree::publish(&wheel.staged, &wheel.published)?;
        }
        Ok(())
    }
}
