//! What one install holds, as `manifest.json` in its directory: all that composing and starting need to know.
//!
//! It is written by the installer process out of a file that may be hostile, so names in it are checked again
//! by whoever turns them into paths.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Changes when an older pexvisor's installs can no longer be used; they are then made anew.
pub const FORMAT: u32 = 1;

/// The file in an install's directory.
pub const FILE: &str = "manifest.json";

/// One installed artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The artifact's sha256, 64 lowercase hex digits.
    pub digest: String,
    /// The key of the interpreter that it is installed for.
    pub interpreter: String,
    /// Name of the interpreter's wheel tag, such as `cp311`.
    pub python_tag: String,
    /// PEX-INFO's `pex_hash`, if it has one: what Dagster's clients call the pex. No proof of anything.
    pub pex_hash: Option<String>,
    /// `module` or `module:attribute` that the pex runs.
    pub entry_point: Option<String>,
    /// The console script that the pex runs; taken if `entry_point` is absent.
    pub script: Option<String>,
    /// Environment variables that the pex sets before its entry point runs, unless they are set.
    pub inject_env: BTreeMap<String, String>,
    /// Arguments that the pex puts before the given ones.
    pub inject_args: Vec<String>,
    /// Whether the pex removes `PEX_*` variables before its entry point runs.
    pub strip_pex_env: bool,
    /// Scripts by name.
    pub scripts: BTreeMap<String, Script>,
    /// Wheels it stands on, in pex order: for the sweep of the wheel cache.
    pub wheels: Vec<InstalledWheel>,
    /// Files that more than one distribution brings with different contents.
    pub collisions: Vec<Collision>,
    /// Files of user code and of its wheels.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether `sources/` holds anything.
    pub has_sources: bool,
    /// Whether `site-packages/` holds more than links to `sources/`.
    pub has_site_packages: bool,
    /// Whether `data/` holds anything.
    pub has_data: bool,
    /// Whether there is a `working_directory/root` directory in the user code (Dagster's own packing).
    pub working_directory_root: bool,
}

/// Where a script comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Script {
    /// A console or gui script of `entry_points.txt`.
    EntryPoint {
        /// A dotted module name.
        module: String,
        /// Dotted attributes of the callable; empty: the module is run.
        attribute: String,
    },
    /// A file `scripts/<name>` of the install.
    Raw,
}

/// A wheel in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledWheel {
    /// Directory name in `wheels/`: 64 hex digits, computed over the wheel's entries.
    pub key: String,
    /// The project's name as its metadata writes it.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A path that several distributions claim with different contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collision {
    /// The path in `site-packages/`, `data/` or `scripts/`.
    pub path: String,
    /// The distribution whose file is used: the first in pex order.
    pub kept: String,
    /// A distribution whose file is not.
    pub dropped: String,
}

/// An install cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("read {path:?}")]
    Read {
        /// The manifest.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The file is not a manifest.
    #[error("parse {path:?}: remove that directory and deploy again")]
    Parse {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error("use {path:?}: it has format {found}, this version reads {FORMAT}; deploy again to make it anew")]
    Format {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

impl Manifest {
    /// Reads the manifest in the install directory `install`.
    ///
    /// # Errors
    /// When there is none, or none of this version.
    pub fn load(install: &Path) -> Result<Self, ManifestError> {
        let path = install.join(FILE);
        let bytes = fs::read(&path).map_err(|source| ManifestError::Read { path: path.clone(), source })?;
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|source| ManifestError::Parse { path: path.clone(), source })?;
        match manifest.format {
            FORMAT => Ok(manifest),
            found => Err(ManifestError::Format { path, found }),
        }
    }

    /// The name of this install's directory in `installs/`.
    pub fn directory_name(&self) -> String {
        directory_name(&self.digest, &self.interpreter)
    }
}

/// The name of an install's directory: digest and interpreter key.
pub fn directory_name(digest: &str, interpreter_key: &str) -> String {
    format!("{digest}.{interpreter_key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_of_another_format_is_refused_with_both_numbers() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut value = serde_json::to_value(example()).expect("plain data");
        value["format"] = 99.into();
        fs::write(dir.path().join(FILE), value.to_string()).expect("writable");
        let said = Manifest::load(dir.path()).expect_err("format 99").to_string();
        assert!(said.contains("99") && said.contains(&FORMAT.to_string()), "{said}");
    }

    #[test]
    fn a_manifest_reads_back_as_it_was_written() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join(FILE), serde_json::to_vec(&example()).expect("plain data")).expect("writable");
        assert_eq!(Manifest::load(dir.path()).expect("just written"), example());
    }

    fn example() -> Manifest {
        Manifest {
            format: FORMAT,
            digest: "0".repeat(64),
            interpreter: "cp311-0011223344".into(),
            python_tag: "cp311".into(),
            pex_hash: None,
            entry_point: None,
            script: None,
            inject_env: BTreeMap::new(),
            inject_args: vec![],
            strip_pex_env: true,
            scripts: BTreeMap::from([("raw".into(), Script::Raw)]),
            wheels: vec![],
            collisions: vec![],
            files: 1,
            bytes: 2,
            has_sources: true,
            has_site_packages: false,
            has_data: false,
            working_directory_root: false,
        }
    }
}
