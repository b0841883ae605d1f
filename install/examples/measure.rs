//! Installs the pexes given, composes a venv, compiles byte code, and prints how long each step took.
//!
//! `cargo run --release -p pexvisor-install --example measure -- STATE-DIRECTORY PEX…`. The directory's venv is made
//! anew; what is installed already is not.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use pexvisor_install::{
    Artifact, CompileRequest, InstallRequest, Wanted, bytecode, install,
    interpreter::{parse_probe, probe_command},
    venv,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args_os().skip(1).map(PathBuf::from);
    let state = words.next().ok_or("say a state directory and pex files")?;
    let artifacts: Vec<Artifact> =
        words.enumerate().map(|(at, path)| Artifact { path, digest: format!("{at:064}") }).collect();
    let python = timed("probe", || probe(Path::new("/usr/bin/python3")))?;
    let (wheels, installs, staging) = (state.join("wheels"), state.join("installs"), state.join("tmp"));
    let request = InstallRequest { artifacts, interpreters: vec![python], wheels, installs, staging };
    let (python, manifests) = timed("install", || install(&request, &|_| {}))?;
    let directory = |name: String| request.installs.join(name);
    let installed: Vec<venv::Installed> = manifests
        .into_iter()
        .map(|manifest| venv::Installed { directory: directory(manifest.directory_name()), manifest })
        .collect();
    let composed = state.join("venv");
    if composed.exists() {
        fs::remove_dir_all(&composed)?;
    }
    timed("compose", || venv::compose(&python, &installed, &composed, &composed))?;
    let wheels = installed.iter().flat_map(|install| &install.manifest.wheels);
    let mut trees: Vec<PathBuf> = wheels.map(|wheel| request.wheels.join(&wheel.key).join(python.key())).collect();
    trees.extend(installed.iter().map(|install| install.directory.join("sources")));
    let compile = CompileRequest { interpreter: python, trees, wanted: Wanted::Everything, processes: 1 };
    let done = timed("compile", || bytecode::compile(&compile, &|_| {}))?;
    let files: u64 = installed.iter().map(|install| install.manifest.files).sum();
    let bytes: u64 = installed.iter().map(|install| install.manifest.bytes).sum();
    println!("{files} files, {bytes} bytes; {done:?}");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "an example has no reaper")]
fn probe(python: &Path) -> Result<pexvisor_install::Interpreter, Box<dyn Error>> {
    let argv = probe_command(python);
    Ok(parse_probe(python, &Command::new(&argv[0]).args(&argv[1..]).output()?.stdout)?)
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    println!("{what}: {:.1} ms", start.elapsed().as_secs_f64() * 1000.0);
    done
}
