//! Laying out one artifact: its wheels into the cache, its user code into `sources/`, and forests of links over both.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{InstallError, scripts::Owned, wheels};
use crate::{
    forest::Plan,
    interpreter::Interpreter,
    manifest::{self, Manifest, Script},
    pex::{Pex, Scheme},
    request::{Artifact, Event, InstallRequest},
    tree::{self, Executable, FileJob, TreeError},
};

/// Files between two progress events.
const PROGRESS_FILES: u64 = 512;

/// One artifact to install.
pub(super) struct Layout<'a> {
    pub request: &'a InstallRequest,
    pub artifact: &'a Artifact,
    pub pex: &'a Pex,
    /// Distributions in pex order.
    pub chosen: &'a [usize],
    pub interpreter: &'a Interpreter,
    /// A directory of this artifact alone.
    pub staging: PathBuf,
}

impl Layout<'_> {
    pub(super) fn install(&self, tell: &(dyn Fn(Event) + Sync)) -> Result<Manifest, InstallError> {
        let failed = |error| InstallError::of_tree(&self.artifact.digest, error);
        let keys = wheels::keys(self.pex, self.chosen).map_err(failed)?;
        self.write(&keys, tell).map_err(failed)?;
        let (scripts, mut collisions) = self.scripts();
        let mut manifest = self.manifest(&keys);
        for scheme in [Scheme::Site, Scheme::Data] {
            let plan =
                self.plan(scheme, &keys).map_err(|error| InstallError::of_forest(&self.artifact.digest, &error))?;
            manifest.has_data |= scheme == Scheme::Data && !plan.links.is_empty();
            self.plant(&plan).map_err(failed)?;
            collisions.extend(plan.collisions);
        }
        self.link_scripts(&scripts, &keys).map_err(failed)?;
        manifest.scripts = scripts.into_iter().map(|(name, owned)| (name, owned.script)).collect();
        manifest.collisions = collisions;
        self.publish(&manifest).map_err(failed)?;
        Ok(manifest)
    }

    /// Where the install will be.
    pub(super) fn used_at(&self) -> PathBuf {
        self.request.installs.join(manifest::directory_name(&self.artifact.digest, &self.interpreter.key()))
    }

    /// Where it is made.
    pub(super) fn made_at(&self) -> PathBuf {
        self.staging.join("install")
    }

    /// Writes the missing wheels and the user code, and publishes the wheels.
    fn write(&self, keys: &[String], tell: &(dyn Fn(Event) + Sync)) -> Result<(), TreeError> {
        let missing = self.missing_wheels(keys);
        let mut jobs: Vec<FileJob<'_>> = missing.iter().flat_map(|wheel| self.wheel_jobs(wheel)).collect();
        jobs.extend(self.source_jobs()?);
        let (files_total, wheels_total) = (jobs.len() as u64, keys.len() as u64);
        let wheels_cached = wheels_total - missing.len() as u64;
        let told = AtomicU64::new(0);
        tree::write_files(&jobs, &|files| {
            if files >= told.load(Ordering::Relaxed) + PROGRESS_FILES {
                told.store(files, Ordering::Relaxed);
                tell(Event::Progress { files, files_total, wheels_cached, wheels_total });
            }
        })?;
        self.publish_wheels(&missing)
    }

    /// User code, and the directories that must be there even if they are empty.
    fn source_jobs(&self) -> Result<Vec<FileJob<'_>>, TreeError> {
        let root = self.made_at().join("sources");
        tree::make_dir(&root)?;
        let mut jobs = Vec::new();
        for &entry in &self.pex.sources {
            let archive = &self.pex.archive;
            let path = root.join(&*archive.entries()[entry].path);
            if archive.entries()[entry].is_file() {
                jobs.push(FileJob { archive, entry, path, executable: Executable::AsStored });
            } else {
                tree::make_dir(&path)?;
            }
        }
        Ok(jobs)
    }

    fn plant(&self, plan: &Plan) -> Result<(), TreeError> {
        if plan.links.is_empty() {
            return Ok(());
        }
        plan.directories.iter().try_for_each(|dir| tree::make_dir(dir))?;
        plan.links.iter().try_for_each(|(path, target)| tree::link(path, target))
    }

    fn link_scripts(&self, scripts: &BTreeMap<String, Owned>, keys: &[String]) -> Result<(), TreeError> {
        let raw = scripts.iter().filter(|(_, owned)| owned.script == Script::Raw);
        for (at, (name, owned)) in raw.enumerate() {
            let made_at = self.made_at().join("scripts");
            if at == 0 {
                tree::make_dir(&made_at)?;
            }
            let real = self.wheel_tree(&keys[owned.owner]).join("scripts").join(name);
            tree::link(&made_at.join(name), &tree::relative(&self.used_at().join("scripts"), &real))?;
        }
        Ok(())
    }

    fn publish(&self, manifest: &Manifest) -> Result<(), TreeError> {
        let made_at = self.made_at();
        let text = serde_json::to_vec(manifest).expect("plain data has a JSON form");
        tree::write_text(&made_at.join(manifest::FILE), &text)?;
        let used_at = self.used_at();
        if used_at.exists() && Manifest::load(&used_at).is_err() {
            // Another version's, or damaged: nobody can use it.
            let gone = self.staging.join("replaced");
            fs::rename(&used_at, &gone).map_err(TreeError::at(&used_at))?;
        }
        tree::publish(&made_at, &used_at)
    }
}
