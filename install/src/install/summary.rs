//! The manifest of an install: what it is made of and how it starts.

use super::layout::Layout;
use crate::{
    manifest::{self, Collision, InstalledWheel, Manifest},
    pex,
};

/// Where Dagster's tooling puts the working directory of a project.
const WORKING_DIRECTORY: &str = "working_directory/root/";

impl Layout<'_> {
    /// All but the scripts and collisions, which are known when the forests are planned.
    pub(super) fn manifest(&self, keys: &[String]) -> Manifest {
        let info = &self.pex.info;
        let dists = || self.chosen.iter().map(|&at| &self.pex.dists[at]);
        let source_files =
            self.pex.sources.iter().map(|&at| &self.pex.archive.entries()[at]).filter(|entry| entry.is_file());
        let wheel_files = dists().flat_map(|dist| {
            let archive = dist.nested.as_ref().unwrap_or(&self.pex.archive);
            dist.files.iter().map(|file| &archive.entries()[file.entry])
        });
        let files = source_files.clone().chain(wheel_files);
        let wheel = |(dist, key): (&pex::Dist, &String)| InstalledWheel {
            key: key.clone(),
            name: dist.metadata.name.clone(),
            version: dist.metadata.version.clone(),
        };
        Manifest {
            format: manifest::FORMAT,
            digest: self.artifact.digest.clone(),
            interpreter: self.interpreter.key(),
            python_tag: self.interpreter.python_tag(),
            pex_hash: info.pex_hash.clone(),
            entry_point: info.entry_point.clone(),
            script: info.script.clone(),
            inject_env: info.inject_env.clone(),
            inject_args: info.inject_args.clone(),
            strip_pex_env: info.strip_pex_env,
            scripts: Default::default(),
            wheels: dists().zip(keys).map(wheel).collect(),
            collisions: Vec::<Collision>::new(),
            files: files.clone().count() as u64,
            bytes: files.map(|entry| entry.size).sum(),
            has_sources: source_files.clone().next().is_some(),
            has_site_packages: !keys.is_empty(),
            has_data: false,
            working_directory_root: source_files.clone().any(|entry| entry.path.starts_with(WORKING_DIRECTORY)),
        }
    }
}
