//! Merging trees by symbolic links: a directory that one tree alone brings becomes one link; where trees meet there
//! is a real directory. This only plans; it neither reads nor writes files.

use std::path::{Path, PathBuf};

use crate::{manifest::Collision, pex::Scheme, tree};

/// A tree that takes part, the most important first.
pub(crate) struct Layer<'a> {
    /// Who brings it, for a person.
    pub owner: &'a str,
    /// Where its files are (or will be, when the forest is used).
    pub root: PathBuf,
    /// Its files, in [`crate::pex::sort_key`] order.
    pub files: Vec<LayerFile<'a>>,
}

/// A file of a layer.
#[derive(Clone, Copy)]
pub(crate) struct LayerFile<'a> {
    pub path: &'a str,
    /// Files with one identity have the same bytes: size and CRC-32.
    pub identity: (u64, u32),
    /// Whether `path` is a directory that must exist even if it is empty.
    pub is_directory: bool,
    /// Index for [`Merge::same`].
    pub entry: usize,
}

/// What to make, in this order.
#[derive(Default)]
pub(crate) struct Plan {
    /// Directories, parents first.
    pub directories: Vec<PathBuf>,
    /// Links and what they lead to.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Files that several layers bring with different bytes.
    pub collisions: Vec<Collision>,
}

/// One merge.
pub(crate) struct Merge<'a> {
    /// The layers, the most important first.
    pub layers: &'a [Layer<'a>],
    /// Where the forest will be when it is used; links are relative to it.
    pub used_at: &'a Path,
    /// Where it is made.
    pub made_at: &'a Path,
    /// Names the byte code of a module: `cpython-311`; none for trees without modules.
    pub cache_tag: Option<&'a str>,
    /// Whether two files of different bytes, given as (layer, entry), still mean the same.
    pub same: &'a dyn Fn((usize, usize), (usize, usize)) -> bool,
}

/// Two trees need one path, one as a file and one as a directory.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("merge {path:?}: a file in {file_of}, a directory in {directory_of}; remove one of the two from the pex")]
pub(crate) struct FileMeetsDirectory {
    path: String,
    file_of: String,
    directory_of: String,
}

/// The files of one layer that lie in the directory at hand.
#[derive(Clone, Copy)]
struct Part<'a> {
    layer: usize,
    files: &'a [LayerFile<'a>],
}

impl Merge<'_> {
    /// Plans the merge.
    pub(crate) fn plan(&self) -> Result<Plan, FileMeetsDirectory> {
        let parts: Vec<Part<'_>> =
            self.layers.iter().enumerate().map(|(layer, tree)| Part { layer, files: &tree.files }).collect();
        let mut plan = Plan::default();
        self.directory("", &parts, &mut plan)?;
        Ok(plan)
    }

    /// Merges what `parts` have in `directory` (empty, or ends with a slash).
    fn directory(&self, directory: &str, parts: &[Part<'_>], plan: &mut Plan) -> Result<(), FileMeetsDirectory> {
        plan.directories.push(self.made_at.join(directory));
        let mut modules = Vec::new();
        for (name, claims) in by_name(directory.len(), parts) {
            let path = format!("{directory}{name}");
            let is_file = |part: &&Part<'_>| is_file_at(part, &path);
            match (claims.iter().find(is_file), claims.iter().find(|part| !is_file(part))) {
                (Some(file), Some(directory)) => return Err(self.clash(path, file, directory)),
                (Some(_), None) => {
                    plan.collisions.extend(self.collisions(&path, &claims));
                    self.link(&path, claims[0].layer, plan);
                    modules.extend(path.strip_suffix(".py").map(|_| (name, claims[0].layer)));
                }
                (None, _) if claims.len() == 1 => self.link(&path, claims[0].layer, plan),
                (None, _) => self.directory(&format!("{path}/"), &claims, plan)?,
            }
        }
        self.byte_code(directory, &modules, plan);
        Ok(())
    }

    fn link(&self, path: &str, layer: usize, plan: &mut Plan) {
        let place = self.used_at.join(path);
        // Joined to a directory, so it has a parent.
        let target = tree::relative(place.parent().unwrap_or(self.used_at), &self.layers[layer].root.join(path));
        plan.links.push((self.made_at.join(path), target));
    }

    /// Byte code is compiled later, beside the real file; these links lead there and dangle until then.
    fn byte_code(&self, directory: &str, modules: &[(&str, usize)], plan: &mut Plan) {
        let Some(tag) = self.cache_tag.filter(|_| !modules.is_empty()) else { return };
        plan.directories.push(self.made_at.join(format!("{directory}__pycache__")));
        for (name, layer) in modules {
            let stem = name.trim_end_matches(".py");
            self.link(&format!("{directory}__pycache__/{stem}.{tag}.pyc"), *layer, plan);
        }
    }

    fn collisions(&self, path: &str, claims: &[Part<'_>]) -> Vec<Collision> {
        let (kept, file) = (claims[0].layer, claims[0].files[0]);
        let differs = |other: &&Part<'_>| {
            let theirs = other.files[0];
            theirs.identity != file.identity && !(self.same)((kept, file.entry), (other.layer, theirs.entry))
        };
        let dropped = claims[1..].iter().filter(differs).map(|other| self.layers[other.layer].owner);
        let kept = self.layers[kept].owner;
        dropped.map(|owner| Collision { path: path.into(), kept: kept.into(), dropped: owner.into() }).collect()
    }

    fn clash(&self, path: String, file: &Part<'_>, directory: &Part<'_>) -> FileMeetsDirectory {
        let owner = |part: &Part<'_>| self.layers[part.layer].owner.to_owned();
        FileMeetsDirectory { path, file_of: owner(file), directory_of: owner(directory) }
    }
}

/// Whether the part has `path` as a file; if not, it has it as a directory.
fn is_file_at(part: &Part<'_>, path: &str) -> bool {
    part.files[0].path == path && !part.files[0].is_directory
}

/// What the parts have, by the path's next name after `at` bytes. Within a name the layers keep their order.
fn by_name<'a>(at: usize, parts: &[Part<'a>]) -> Vec<(&'a str, Vec<Part<'a>>)> {
    let mut named: Vec<(&str, Part<'_>)> = Vec::new();
    for part in parts {
        // The directory itself may be listed first.
        let inside = part.files.iter().position(|file| file.path.len() > at).unwrap_or(part.files.len());
        let files = &part.files[inside..];
        let groups = files.chunk_by(|a, b| next_name(a.path, at) == next_name(b.path, at));
        named.extend(groups.map(|files| (next_name(files[0].path, at), Part { layer: part.layer, files })));
    }
    // Stable: within a name the layers stay in their order.
    named.sort_by_key(|(name, _)| *name);
    let groups = named.chunk_by(|a, b| a.0 == b.0);
    groups.map(|group| (group[0].0, group.iter().map(|(_, part)| *part).collect())).collect()
}

fn next_name(path: &str, at: usize) -> &str {
    let rest = &path[at..];
    rest.split('/').next().unwrap_or(rest)
}

/// The directory of a scheme inside a wheel's tree; headers are data.
pub(crate) fn scheme_directory(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Site => "site",
        Scheme::Scripts => "scripts",
        Scheme::Data | Scheme::Headers => "data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer<'a>(owner: &'a str, files: &[(&'a str, u32)]) -> Layer<'a> {
        let file = |(at, &(path, crc)): (usize, &(&'a str, u32))| LayerFile {
            path,
            identity: (1, crc),
            is_directory: false,
            entry: at,
        };
        Layer {
            owner,
            root: PathBuf::from("/s/wheels").join(owner),
            files: files.iter().enumerate().map(file).collect(),
        }
    }

    fn plan(layers: &[Layer<'_>]) -> Result<Plan, FileMeetsDirectory> {
        let at = Path::new("/s/i");
        Merge { layers, used_at: at, made_at: at, cache_tag: Some("cpython-311"), same: &|_, _| false }.plan()
    }

    fn links(plan: &Plan) -> Vec<String> {
        plan.links.iter().map(|(from, to)| format!("{} {}", from.display(), to.display())).collect()
    }

    #[test]
    fn a_directory_of_one_tree_alone_is_one_link() {
        let plan = plan(&[layer("a", &[("pkg/__init__.py", 1), ("pkg/x/y.py", 2)])]).expect("no clash");
        assert_eq!(links(&plan), ["/s/i/pkg ../wheels/a/pkg"]);
    }

    #[test]
    fn trees_meet_in_real_directories_and_modules_there_see_their_byte_code() {
        let plan = plan(&[layer("a", &[("ns/one.py", 1)]), layer("b", &[("ns/two/__init__.py", 2), ("six.py", 3)])])
            .expect("no clash");
        assert_eq!(
            links(&plan),
            [
                "/s/i/ns/one.py ../../wheels/a/ns/one.py",
                "/s/i/ns/two ../../wheels/b/ns/two",
                "/s/i/ns/__pycache__/one.cpython-311.pyc ../../../wheels/a/ns/__pycache__/one.cpython-311.pyc",
                "/s/i/six.py ../wheels/b/six.py",
                "/s/i/__pycache__/six.cpython-311.pyc ../../wheels/b/__pycache__/six.cpython-311.pyc",
            ]
        );
    }

    #[test]
    fn of_two_different_files_the_first_is_kept_and_the_second_reported() {
        let plan = plan(&[layer("a", &[("d/x", 1), ("d/y", 1)]), layer("b", &[("d/x", 2), ("d/y", 1)])]).expect("fine");
        let collision = Collision { path: "d/x".into(), kept: "a".into(), dropped: "b".into() };
        assert_eq!(plan.collisions, [collision]);
        assert!(links(&plan)[0].ends_with("wheels/a/d/x"));
    }

    #[test]
    fn a_file_that_meets_a_directory_is_an_error_that_names_both() {
        let clash = plan(&[layer("a", &[("x", 1)]), layer("b", &[("x/y", 2)])]).err().expect("a clash");
        assert_eq!((clash.file_of.as_str(), clash.directory_of.as_str()), ("a", "b"));
    }

    #[test]
    fn names_that_begin_alike_stay_apart() {
        let plan = plan(&[layer("a", &[("x/y", 1), ("x.py", 2), ("xy/z", 3)])]).expect("no clash");
        assert_eq!(plan.links.len(), 4, "{:?}", links(&plan));
    }
}
