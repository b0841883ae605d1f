//! Composing installs into a venv: a few small files and links, about 3 ms. Copies no package.
//!
//! `lib/pythonX.Y/site-packages/pexvisor.pth` makes every Python of the venv (`-m`, subprocesses, multiprocessing
//! spawn, console scripts) see the same path: user sources (the last artifact's first), the standard library, then
//! each install's site-packages in pex order, with the `.pth` files in them run. Before all that, `pexvisor_start.py`
//! tells the garbage collector to wait while the program starts.
//!
//! The caller gives a staging directory and renames it; scripts name the final path.

mod data;
mod entry;
mod python;
mod script;

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{
    interpreter::{Interpreter, hex},
    manifest::{Manifest, Script},
};

pub(crate) use script::is_script_name;

/// One install of a composition.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Its directory, `<state>/installs/<digest>.<interpreter key>`.
    pub directory: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
}

/// A venv cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VenvError {
    /// The disk says no.
    #[error("write {path:?}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// A script needs the venv's path in a form that neither the kernel nor a shell takes.
    #[error(
        "make scripts in {path:?}: choose a state directory without quotes, `$`, backslashes and control characters"
    )]
    Path {
        /// The venv.
        path: PathBuf,
    },
}

/// Changes when what [`compose`] makes changes.
const FORMAT: &str = "pexvisor venv 2";

/// The name for the composition of these installs in this order: 64 hex digits. One name means one content, so a
/// venv that is there under it can be used as it is.
pub fn key(interpreter: &Interpreter, digests: &[&str]) -> String {
    let identity = serde_json::json!([FORMAT, interpreter.key(), interpreter.path, digests]);
    hex(&Sha256::digest(identity.to_string()))
}

/// The venv's Python, given the venv's path: what to run.
pub fn python(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// Makes in `staging` (which must not exist) the venv that will be used at `used_at`.
///
/// # Errors
/// When the disk fails or the path cannot be written into scripts. `staging` may then be half made.
pub fn compose(
    interpreter: &Interpreter,
    installs: &[Installed],
    staging: &Path,
    used_at: &Path,
) -> Result<(), VenvError> {
    let bin = staging.join("bin");
    let library = staging.join("lib").join(interpreter.library_name()).join("site-packages");
    for dir in [&bin, &library] {
        fs::create_dir_all(dir).map_err(at(dir))?;
    }
    write(&staging.join("pyvenv.cfg"), python::configuration(interpreter).as_bytes())?;
    for (name, target) in python::links(interpreter) {
        link(&bin.join(name), &target)?;
    }
    let (name, text) = entry::START;
    write(&library.join(name), text.as_bytes())?;
    write(&library.join("pexvisor.pth"), entry::path_line(installs).as_bytes())?;
    write(&staging.join("__main__.py"), entry::main_program(installs).as_bytes())?;
    scripts(installs, &bin, used_at)?;
    data::link_all(installs, staging)
}

/// Writes `bin/`'s scripts; of several with one name the first install's is taken.
fn scripts(installs: &[Installed], bin: &Path, used_at: &Path) -> Result<(), VenvError> {
    let shebang = script::shebang(&python(used_at)).ok_or_else(|| VenvError::Path { path: used_at.to_path_buf() })?;
    for install in installs {
        for (name, script) in &install.manifest.scripts {
            let path = bin.join(name);
            // The manifest was written from a hostile file. Python's own names are taken already.
            if !is_script_name(name) || path.symlink_metadata().is_ok() {
                continue;
            }
            match script {
                Script::EntryPoint { module, attribute } => {
                    if let Some(text) = script::console_script(&shebang, module, attribute) {
                        script::write(&path, text.as_bytes())?;
                    }
                }
                Script::Raw => script::raw(&install.directory.join("scripts").join(name), &path, &shebang)?,
            }
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), VenvError> {
    fs::write(path, bytes).map_err(at(path))
}

fn link(path: &Path, target: &Path) -> Result<(), VenvError> {
    symlink(target, path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> VenvError + '_ {
    |source| VenvError::Write { path: path.to_path_buf(), source }
}
