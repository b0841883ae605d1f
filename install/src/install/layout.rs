//! Laying out one artifact: its wheels into the cache, its user code into `sources/`, and forests of links over both.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{InstallError, scripts::Owned, wheels};
use crate::{
    archive::{Archive, EntryReader},
    forest::{FileMeetsDirectory, Layer, LayerFile, Merge, Plan, scheme_directory},
    interpreter::Interpreter,
    manifest::{self, Collision, InstalledWheel, Manifest},
    pex::{self, Pex, Scheme},
    request::{Artifact, Event, InstallRequest},
    tree::{self, Executable, FileJob, TreeError},
};

/// Who brings a pex's own files, where collisions are reported.
const USER_CODE: &str = "user code";

/// Where Dagster's tooling puts the working directory of a project.
const WORKING_DIRECTORY: &str = "working_directory/root/";

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

    fn used_at(&self) -> PathBuf {
        self.request.installs.join(manifest::directory_name(&self.artifact.digest, &self.interpreter.key()))
    }

    fn made_at(&self) -> PathBuf {
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

    /// The forest of one scheme: user code first (only in site-packages), then the wheels in pex order.
    fn plan(&self, scheme: Scheme, keys: &[String]) -> Result<Plan, FileMeetsDirectory> {
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

    fn plant(&self, plan: &Plan) -> Result<(), TreeError> {
        if plan.links.is_empty() {
            return Ok(());
        }
        plan.directories.iter().try_for_each(|dir| tree::make_dir(dir))?;
        plan.links.iter().try_for_each(|(path, target)| tree::link(path, target))
    }

    fn link_scripts(
        &self,
        scripts: &std::collections::BTreeMap<String, Owned>,
        keys: &[String],
    ) -> Result<(), TreeError> {
        let raw = scripts.iter().filter(|(_, owned)| owned.script == manifest::Script::Raw);
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

    fn manifest(&self, keys: &[String]) -> Manifest {
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

    fn publish(&self, manifest: &Manifest) -> Result<(), TreeError> {
        let made_at = self.made_at();
        let text = serde_json::to_vec(manifest).expect("plain data has a JSON form");
        tree::write_text(&made_at.join(manifest::FILE), &text)?;
        tree::publish(&made_at, &self.used_at())
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
