//! One distribution in a pex: an installed tree `.deps/NAME.whl/`, or a wheel file of that name.
//!
//! Either way it comes out as the same thing: files by scheme, metadata, scripts.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use super::{PexError, PexInfo, kind::DEPS, normalized, wheel_name::WheelName};
use crate::{
    archive::{Archive, EntryReader},
    manifest::Script,
    metadata::{self, Metadata},
};

/// A distribution and its files, each already in its place.
pub(crate) struct Dist {
    /// The wheel's file name.
    pub file_name: String,
    pub wheel: WheelName,
    pub metadata: Metadata,
    /// Its `.dist-info` directory in site-packages.
    pub dist_info: String,
    /// Console and gui scripts.
    pub scripts: BTreeMap<String, Script>,
    pub files: Vec<Placed>,
    /// The wheel file's own archive; none if its files are entries of the pex.
    pub nested: Option<Archive>,
    /// The entry in the pex that is the wheel file.
    pub wheel_entry: Option<usize>,
}

/// A file and where it belongs.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub scheme: Scheme,
    /// Relative to the scheme's directory.
    pub path: String,
    /// Entry in the pex, or in the wheel file.
    pub entry: usize,
}

/// Where a wheel's files can belong (purelib and platlib are one directory in a venv).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scheme {
    /// site-packages.
    Site,
    /// bin.
    Scripts,
    /// The venv's root.
    Data,
    /// `include/site/pythonX.Y`.
    Headers,
}

/// Where pex stashes all that does not belong in site-packages, inside an installed tree.
const STASH: &str = ".prefix/";

/// pex's own note in an installed tree.
const LAYOUT: &str = ".layout.json";

impl Dist {
    /// All distributions that PEX-INFO lists, in its order.
    pub(super) fn all(
        pex: &Archive,
        info: &PexInfo,
        reader: &mut EntryReader,
        spill: &Path,
    ) -> Result<Vec<Self>, PexError> {
        let mut trees = trees(pex);
        let read = |name: &String| {
            let missing = || PexError::MissingDistribution { name: name.clone() };
            if info.deps_are_wheel_files {
                let at = pex.find(&format!("{DEPS}/{name}")).filter(|&at| pex.entries()[at].is_file());
                Self::from_wheel_file(pex, at.ok_or_else(missing)?, name, reader, spill)
            } else {
                let entries = trees.remove(name.as_str()).ok_or_else(missing)?;
                let prefix = DEPS.len() + name.len() + 2;
                let place = |at: usize| placed_in_tree(&pex.entries()[at].path[prefix..], at);
                Self::new(name, entries.into_iter().filter_map(place).collect(), pex, reader)
            }
        };
        info.distributions.keys().map(read).collect()
    }

    fn from_wheel_file(
        pex: &Archive,
        at: usize,
        name: &str,
        reader: &mut EntryReader,
        spill: &Path,
    ) -> Result<Self, PexError> {
        let bad = |source| PexError::Wheel { name: name.to_owned(), source };
        let archive = pex.nested(at, reader, spill).map_err(bad)?;
        let stem = data_stem(&archive);
        let files = archive.entries().iter().enumerate().filter(|(_, entry)| entry.is_file());
        let placed = files.filter_map(|(at, entry)| placed_in_wheel(&entry.path, stem.as_deref(), at)).collect();
        let mut dist = Self::new(name, placed, &archive, reader)?;
        dist.wheel_entry = Some(at);
        dist.nested = Some(archive);
        Ok(dist)
    }

    fn new(
        file_name: &str,
        mut files: Vec<Placed>,
        archive: &Archive,
        reader: &mut EntryReader,
    ) -> Result<Self, PexError> {
        let bad = |problem: &str| PexError::Distribution { name: file_name.to_owned(), problem: problem.to_owned() };
        let wheel = WheelName::parse(file_name).ok_or_else(|| bad("its name is no wheel's file name"))?;
        check_places(&mut files).map_err(|path| bad(&format!("two of its files belong at {path:?}")))?;
        let dist_info =
            dist_info(&files, &wheel.project).ok_or_else(|| bad("it has no .dist-info/METADATA"))?.to_owned();
        let mut text = |name: &str| -> Result<Option<String>, PexError> {
            let path = format!("{dist_info}/{name}");
            let file = files.iter().find(|file| file.scheme == Scheme::Site && file.path == path);
            let Some(file) = file else { return Ok(None) };
            let entry = &archive.entries()[file.entry];
            Ok(Some(reader.with(archive, entry, |bytes| String::from_utf8_lossy(bytes).into_owned())?))
        };
        let mut metadata = Metadata::parse(&text("METADATA")?.unwrap_or_default());
        if normalized(&metadata.name) != wheel.project {
            return Err(bad(&format!("its METADATA is of {:?}", metadata.name)));
        }
        if metadata.version.is_empty() {
            metadata.version = wheel.version.to_string();
        }
        let scripts = metadata::scripts(&text("entry_points.txt")?.unwrap_or_default());
        let file_name = file_name.to_owned();
        Ok(Self { file_name, wheel, metadata, dist_info, scripts, files, nested: None, wheel_entry: None })
    }
}

impl Dist {
    /// What the paths of its entries in the pex begin with, if it is an installed tree.
    pub(crate) fn tree_prefix(&self) -> String {
        format!("{DEPS}/{}/", self.file_name)
    }
}

/// Entries of `.deps/NAME/`, by NAME.
fn trees(pex: &Archive) -> HashMap<&str, Vec<usize>> {
    let mut trees: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, entry) in pex.entries().iter().enumerate().filter(|(_, entry)| entry.is_file()) {
        let inside = entry.path.strip_prefix(DEPS).and_then(|rest| rest.strip_prefix('/'));
        if let Some((name, _)) = inside.and_then(|rest| rest.split_once('/')) {
            trees.entry(name).or_default().push(at);
        }
    }
    trees
}

fn placed_in_tree(path: &str, entry: usize) -> Option<Placed> {
    let Some(stashed) = path.strip_prefix(STASH) else {
        return (path != LAYOUT).then(|| placed(Scheme::Site, path, entry)).flatten();
    };
    let (directory, rest) = stashed.split_once('/')?;
    match directory {
        "purelib" | "platlib" => placed(Scheme::Site, rest, entry),
        "bin" => placed(Scheme::Scripts, rest, entry),
        "data" => placed(Scheme::Data, rest, entry),
        // include/site/pythonX.Y/NAME/…: X.Y is of the Python that built the pex, or the letters X.Y.
        "include" => placed(Scheme::Headers, rest.splitn(3, '/').nth(2)?, entry),
        _ => placed(Scheme::Data, stashed, entry),
    }
}

/// `NAME-VERSION` of the wheel's `NAME-VERSION.data` directory.
fn data_stem(wheel: &Archive) -> Option<String> {
    let tops = wheel.entries().iter().filter_map(|entry| entry.path.split_once('/'));
    tops.map(|(top, _)| top).find_map(|top| top.strip_suffix(".dist-info")).map(str::to_owned)
}

fn placed_in_wheel(path: &str, stem: Option<&str>, entry: usize) -> Option<Placed> {
    let data = stem.and_then(|stem| path.strip_prefix(stem)).and_then(|rest| rest.strip_prefix(".data/"));
    let Some((directory, rest)) = data.and_then(|data| data.split_once('/')) else {
        return placed(Scheme::Site, path, entry);
    };
    match directory {
        "scripts" => placed(Scheme::Scripts, rest, entry),
        "data" => placed(Scheme::Data, rest, entry),
        "headers" => {
            let project = stem.and_then(|stem| stem.rsplit_once('-')).map_or("", |(project, _)| project);
            placed(Scheme::Headers, &format!("{project}/{rest}"), entry)
        }
        _ => placed(Scheme::Site, rest, entry),
    }
}

/// None for byte code that came along: it is made anew for the interpreter that runs it.
fn placed(scheme: Scheme, path: &str, entry: usize) -> Option<Placed> {
    let wanted = !path.is_empty() && !path.split('/').any(|part| part == "__pycache__");
    wanted.then(|| Placed { scheme, path: path.to_owned(), entry })
}

/// Sorts the files, each directory's together, and refuses two that need one place.
fn check_places(files: &mut [Placed]) -> Result<(), String> {
    files.sort_by_cached_key(|file| (file.scheme, sort_key(&file.path)));
    let clash = files.windows(2).find(|pair| {
        let inside = pair[1].path.strip_prefix(&pair[0].path);
        pair[0].scheme == pair[1].scheme && inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    clash.map_or(Ok(()), |pair| Err(pair[0].path.clone()))
}

/// An order in which what is below `a` follows `a` at once, before `a.b`.
pub(crate) fn sort_key(path: &str) -> Vec<u8> {
    path.bytes().map(|byte| if byte == b'/' { 0 } else { byte }).collect()
}

/// The `.dist-info` directory of `project`.
fn dist_info<'a>(files: &'a [Placed], project: &str) -> Option<&'a str> {
    let of_project = |dir: &&str| {
        let stem = dir.strip_suffix(".dist-info").unwrap_or(dir);
        normalized(stem.split('-').next().unwrap_or(stem)) == project
    };
    let metadata = files.iter().filter(|file| file.scheme == Scheme::Site);
    metadata
        .filter_map(|file| file.path.strip_suffix("/METADATA"))
        .filter(|dir| dir.ends_with(".dist-info") && !dir.contains('/'))
        .find(of_project)
}
