//! What is on disk, how large it is, when it was last used, and what stands on what. Looks only, removes nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use pexvisor_install::Manifest;

use super::{Usage, size::Sizes};
use crate::{
    artifact::{compose::DIGESTS_FILE, places::Places},
    words::Digest,
};

/// The file in an install whose time of change is the last use.
const MANIFEST_FILE: &str = "manifest.json";

/// All there is.
#[derive(Default)]
pub struct Shelf {
    digests: BTreeMap<Digest, Item>,
    venvs: Vec<Venv>,
    wheels: Vec<Wheel>,
    bytes: u64,
}

/// An artifact and its installs.
#[derive(Default)]
struct Item {
    paths: Vec<PathBuf>,
    installs: Vec<PathBuf>,
    bytes: u64,
    used: Option<SystemTime>,
}

struct Venv {
    path: PathBuf,
    digests: BTreeSet<String>,
    bytes: u64,
}

/// A wheel, installed for one interpreter.
struct Wheel {
    path: PathBuf,
    bytes: u64,
}

impl Shelf {
    /// Looks through these places.
    pub fn look(places: &Places, sizes: &mut Sizes) -> io::Result<Self> {
        let mut shelf = Self::default();
        for file in entries(&places.artifacts)? {
            shelf.put(&file, &file, sizes, Kind::File);
        }
        for install in entries(&places.installs)? {
            shelf.put(&install, &install.join(MANIFEST_FILE), sizes, Kind::Install);
        }
        for path in entries(&places.venvs)? {
            let digests = fs::read_to_string(path.join(DIGESTS_FILE)).unwrap_or_default();
            let digests = digests.lines().map(str::to_owned).collect();
            shelf.venvs.push(Venv { bytes: sizes.of(&path), digests, path });
        }
        for key in entries(&places.wheels)? {
            let trees = entries(&key)?.into_iter();
            shelf.wheels.extend(trees.map(|path| Wheel { bytes: sizes.of(&path), path }));
        }
        let digests = shelf.digests.values().map(|item| item.bytes);
        let venvs = shelf.venvs.iter().map(|venv| venv.bytes);
        shelf.bytes = digests.chain(venvs).chain(shelf.wheels.iter().map(|wheel| wheel.bytes)).sum();
        Ok(shelf)
    }

    /// Bytes of everything.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts and bytes.
    pub fn usage(&self) -> Usage {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let installs: usize = self.digests.values().map(|item| item.installs.len()).sum();
        let files: usize = self.digests.values().map(|item| item.paths.len()).sum();
        let (artifacts, installs) = (count(files - installs), count(installs));
        Usage { bytes: self.bytes(), bytes_max: 0, artifacts, installs, wheels: count(self.wheels.len()) }
    }

    /// All digests, the one used longest ago first.
    pub fn oldest_first(&self) -> Vec<Digest> {
        let mut digests: Vec<_> = self.digests.iter().map(|(digest, item)| (item.used, *digest)).collect();
        digests.sort_unstable();
        digests.into_iter().map(|(_, digest)| digest).collect()
    }

    /// Takes a digest off the shelf: its venvs, installs and file, in the order in which they must go.
    pub fn take(&mut self, digest: Digest) -> Vec<PathBuf> {
        let name = digest.to_string();
        let venvs: Vec<Venv> = self.venvs.extract_if(.., |venv| venv.digests.contains(&name)).collect();
        let item = self.digests.remove(&digest).unwrap_or_default();
        self.bytes -= item.bytes + venvs.iter().map(|venv| venv.bytes).sum::<u64>();
        venvs.into_iter().map(|venv| venv.path).chain(item.paths.into_iter().rev()).collect()
    }

    /// Takes wheels off the shelf that no install stands on, until no more than `target` bytes are left.
    pub fn take_unused_wheels(&mut self, target: u64) -> Vec<PathBuf> {
        let used = self.wheels_in_use();
        let excess = self.bytes.saturating_sub(target);
        let mut taken = 0;
        let unused = self.wheels.extract_if(.., |wheel| {
            let take = taken < excess && !used.contains(&wheel.path);
            taken += if take { wheel.bytes } else { 0 };
            take
        });
        let paths = unused.map(|wheel| wheel.path).collect();
        self.bytes -= taken;
        paths
    }

    fn put(&mut self, path: &Path, last_use: &Path, sizes: &mut Sizes, kind: Kind) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // What has no digest for a name is not ours.
        let Some(digest) = name.split('.').next().and_then(|digest| digest.parse().ok()) else { return };
        let item = self.digests.entry(digest).or_default();
        item.bytes += sizes.of(path);
        item.used = item.used.max(fs::metadata(last_use).and_then(|file| file.modified()).ok());
        item.paths.push(path.to_owned());
        if kind == Kind::Install {
            item.installs.push(path.to_owned());
        }
    }

    /// Directories of wheels that some install stands on.
    fn wheels_in_use(&self) -> HashSet<PathBuf> {
        let installs = self.digests.values().flat_map(|item| &item.installs);
        let trees = installs.filter_map(|install| Some((install, Manifest::load(install).ok()?)));
        trees.flat_map(|(install, manifest)| wheel_trees(install, &manifest)).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Install,
}

fn wheel_trees(install: &Path, manifest: &Manifest) -> Vec<PathBuf> {
    let Some(state_dir) = install.parent().and_then(Path::parent) else { return Vec::new() };
    let wheels = Places::below(state_dir).wheels;
    manifest.wheels.iter().map(|wheel| wheels.join(&wheel.key).join(&manifest.interpreter)).collect()
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}
