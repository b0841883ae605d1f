//! From a module's name to its source, as Python would find it in a list of trees.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use super::sources::{Source, modules_root};

/// Names looked at. A start imports some thousands of modules; each name also brings those of what it takes from them.
const NAMES_MAX: usize = 200_000;

/// The modules of some trees, each given once.
pub(super) struct Modules {
    /// By the first part of a name: where it is, in the order of the trees. Namespace packages are in several.
    places: HashMap<String, Vec<PathBuf>>,
    cache_tag: String,
    seen: HashSet<String>,
}

impl Modules {
    /// What can be imported from these trees, first come first.
    pub fn of(trees: &[PathBuf], cache_tag: &str) -> io::Result<Self> {
        let mut places: HashMap<String, Vec<PathBuf>> = HashMap::new();
        for root in trees.iter().map(|tree| modules_root(tree)).filter(|root| root.is_dir()) {
            for entry in fs::read_dir(&root)? {
                let name = entry?.file_name();
                let Some(name) = name.to_str() else { continue };
                let name = name.strip_suffix(".py").unwrap_or(name);
                let roots = places.entry(name.to_owned()).or_default();
                if roots.last() != Some(&root) {
                    roots.push(root.clone());
                }
            }
        }
        Ok(Self { places, cache_tag: cache_tag.to_owned(), seen: HashSet::new() })
    }

    /// The sources of this module and of the packages that it is in, without those that were given before.
    pub fn take(&mut self, name: &str) -> Vec<Source> {
        let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
        ends.filter_map(|end| self.take_one(&name[..end])).collect()
    }

    fn take_one(&mut self, name: &str) -> Option<Source> {
        let parts: Vec<&str> = name.split('.').collect();
        // Names come from a hostile file: they must not lead out of the tree.
        let is_sound = parts.iter().all(|part| !part.is_empty() && !part.contains(['/', '\0']));
        let roots = self.places.get(parts[0])?;
        if !is_sound || self.seen.len() >= NAMES_MAX || !self.seen.insert(name.to_owned()) {
            return None;
        }
        let (path, is_package) = roots.iter().find_map(|root| in_root(root, &parts))?;
        let package = if is_package { name } else { name.rsplit_once('.').map_or("", |(package, _)| package) };
        let mut source = Source::at(path, &self.cache_tag)?;
        source.package = Some(package.to_owned());
        Some(source)
    }
}

/// The module's file below `root`, and whether it is a package. A link is none of an install's files.
fn in_root(root: &Path, parts: &[&str]) -> Option<(PathBuf, bool)> {
    let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let base = parts.iter().fold(root.to_path_buf(), |path, part| path.join(part));
    let package = base.join("__init__.py");
    if is_file(&package) {
        return Some((package, true));
    }
    let mut module = base.into_os_string();
    module.push(".py");
    let module = PathBuf::from(module);
    is_file(&module).then_some((module, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(files: &[&str]) -> (tempfile::TempDir, Modules) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("joined")).expect("writable");
            fs::write(path, "").expect("writable");
        }
        let trees = ["sources", "wheel-1", "wheel-2"].map(|tree| dir.path().join(tree));
        let modules = Modules::of(&trees, "cpython-311").expect("readable");
        (dir, modules)
    }

    fn taken(modules: &mut Modules, dir: &tempfile::TempDir, name: &str) -> Vec<(String, String)> {
        let shown = |source: Source| {
            let path = source.path.strip_prefix(dir.path()).expect("below").display().to_string();
            (path, source.package.expect("it is known"))
        };
        modules.take(name).into_iter().map(shown).collect()
    }

    #[test]
    fn a_module_comes_once_and_after_its_packages() {
        let (dir, mut modules) = modules(&["sources/a/__init__.py", "sources/a/b/__init__.py", "sources/a/b/c.py"]);
        let pair = |path: &str, package: &str| (path.to_owned(), package.to_owned());
        assert_eq!(
            taken(&mut modules, &dir, "a.b.c"),
            [
                pair("sources/a/__init__.py", "a"),
                pair("sources/a/b/__init__.py", "a.b"),
                pair("sources/a/b/c.py", "a.b")
            ]
        );
        assert_eq!(taken(&mut modules, &dir, "a.b.c"), []);
        assert_eq!(taken(&mut modules, &dir, "os.path"), []);
    }

    #[test]
    fn the_first_tree_wins_and_namespace_packages_are_in_several() {
        let (dir, mut modules) =
            modules(&["sources/types.py", "wheel-1/site/types.py", "wheel-1/site/ns/x.py", "wheel-2/site/ns/y.py"]);
        let mut paths =
            |name: &str| taken(&mut modules, &dir, name).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        assert_eq!(paths("types"), ["sources/types.py"]);
        assert_eq!(paths("ns.y"), ["wheel-2/site/ns/y.py"]);
        assert_eq!(paths("ns.x"), ["wheel-1/site/ns/x.py"]);
    }

    #[test]
    fn no_name_leads_out_of_the_trees() {
        let (_dir, mut modules) = modules(&["sources/a/__init__.py", "outside.py"]);
        for name in ["a.../../outside", "a./../outside", "../outside", "", ".", "..", "a..outside", "a.\0"] {
            assert!(modules.take(name).iter().all(|source| source.path.ends_with("a/__init__.py")), "{name}");
        }
    }
}
