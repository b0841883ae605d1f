//! The vocabulary of the claims about the face: real installer processes, the system's Python, small pexes. The test
//! binary is its own stage program and its own installer.

mod disk;
mod way;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use pexvisor_sandbox::{StageProgram, cgroup::Tree, stray::Marker};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::{
    metrics::Metrics,
    words::{ArtifactRef, ArtifactSource, Failure},
};

/// Marks our processes, and tells the test binary which part it plays.
const ROLE: &str = "PEXVISOR_TEST_ROLE";
const PYTHON: &str = "/usr/bin/python3";
const INSTALLER: [&str; 3] = ["artifact::tests::acts_as_the_installer", "--exact", "--nocapture"];

/// Writes a pex with one module: argv is the file, the module's name, a file with its source, and modules that are wheels.
const MAKE_PEX: &str = r#"
import json, sys, zipfile
path, module, source, *wheels = sys.argv[1:]
source = open(source).read()
distributions = {wheel + "-1.0-py3-none-any.whl": "0" * 40 for wheel in wheels}
info = {"build_properties": {"pex_version": "2.59.5"}, "code_hash": "0" * 40, "distributions": distributions, "requirements": wheels,
        "deps_are_wheel_files": False, "entry_point": module, "interpreter_constraints": [], "pex_hash": "1" * 40}
with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pex:
    pex.writestr("PEX-INFO", json.dumps(info))
    pex.writestr("__main__.py", "raise SystemExit('not to be run')")
    pex.writestr(module + ".py", source)
    for wheel in wheels:
        root = ".deps/%s-1.0-py3-none-any.whl/" % wheel
        pex.writestr(root + wheel + ".py", "")
        pex.writestr(root + wheel + "-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n" % wheel)
        pex.writestr(root + wheel + "-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
print("made")
"#;

/// Not a claim: the stage program of the claims below. Without its argument it does nothing.
#[test]
fn acts_as_the_stage_program() {
    if std::env::args().any(|arg| arg == "--nocapture") && nix::sys::stat::fstat(std::io::stdin()).is_ok_and(is_socket)
    {
        pexvisor_sandbox::stage_main();
        std::process::exit(126);
    }
}

fn is_socket(stat: nix::sys::stat::FileStat) -> bool {
    stat.st_mode & nix::libc::S_IFMT == nix::libc::S_IFSOCK
}

/// Not a claim: the installer of the claims below.
#[test]
fn acts_as_the_installer() {
    if std::env::var(ROLE).is_ok_and(|role| role.contains("installer")) {
        // The harness has left the line unfinished.
        #[expect(clippy::print_stdout, reason = "the installer's events go to stdout")]
        {
            println!();
        }
        let _ = pexvisor_install::main();
        std::process::exit(0);
    }
}

struct Bench {
    /// Holds the store and the state directory.
    home: tempfile::TempDir,
    reaper: Reaper,
    artifacts: Artifacts,
}

impl Bench {
    fn new(cache_bytes_max: Option<u64>) -> Self {
        let home = tempfile::tempdir().expect("a home");
        fs::create_dir(home.path().join("state")).expect("a state dir");
        Self::in_home(home, cache_bytes_max)
    }

    fn in_home(home: tempfile::TempDir, cache_bytes_max: Option<u64>) -> Self {
        let args = ["artifact::tests::acts_as_the_stage_program", "--exact", "--nocapture"];
        let stage = StageProgram::other("/proc/self/exe", args.map(Into::into));
        let reaper = Reaper::start_with(stage).expect("a runtime with signals");
        fs::create_dir(home.path().join("store")).expect("a store");
        let artifacts = start(home.path(), &reaper, cache_bytes_max, &INSTALLER);
        Self { home, reaper, artifacts }
    }

    /// A second start on the same state directory.
    fn started_again(&self) -> Artifacts {
        start(self.home.path(), &self.reaper, None, &INSTALLER)
    }

    /// The same with an installer that cannot run.
    fn started_again_without_installer(&self) -> Artifacts {
        start(self.home.path(), &self.reaper, None, &["no such test", "--exact"])
    }

    /// A path in the state directory.
    fn state(&self, path: &str) -> PathBuf {
        self.home.path().join("state").join(path)
    }

    fn put(&self, bytes: &[u8]) -> ArtifactRef {
        let digest = Digest::from_bytes(Sha256::digest(bytes).into());
        fs::write(self.home.path().join("store").join(format!("{digest}.pex")), bytes).expect("written");
        ArtifactRef { digest, source: ArtifactSource::Store }
    }

    async fn pex(&self, module: &str, source: &str) -> ArtifactRef {
        self.pex_with_wheels(module, source, &[]).await
    }

    async fn pex_with_wheels(&self, module: &str, source: &str, wheels: &[&str]) -> ArtifactRef {
        let (path, text) = (self.home.path().join("making.pex"), self.home.path().join("source"));
        fs::write(&text, source).expect("written");
        let plain = |path: &Path| path.to_str().expect("a plain path").to_owned();
        let (made, text) = (plain(&path), plain(&text));
        let args = [&["-c", MAKE_PEX, &made, module, &text], wheels].concat();
        assert_eq!(self.python(&args).await, "made");
        self.put(&fs::read(path).expect("made"))
    }

    async fn python(&self, args: &[&str]) -> String {
        self.run(Path::new(PYTHON), args).await
    }

    /// The last line that a program prints.
    async fn run(&self, program: &Path, args: &[&str]) -> String {
        let argv = [&[program.to_str().expect("a plain path")], args].concat();
        let argv: Vec<String> = argv.into_iter().map(str::to_owned).collect();
        let workshop = Workshop::new(self.reaper.clone(), no_cgroup(), installer(&[]));
        let line = workshop.ask(&argv).await.expect("it prints a line");
        String::from_utf8(line).expect("text").trim().to_owned()
    }

    async fn prepare(&self, artifacts: &[ArtifactRef]) -> Result<(Prepared, Vec<Progress>), Failure> {
        prepare(&self.artifacts, artifacts).await
    }

    fn installed(&self, artifact: &ArtifactRef) -> bool {
        let installs = fs::read_dir(self.state("installs")).expect("listed");
        let name = artifact.digest.to_string();
        installs.flatten().any(|install| install.file_name().to_string_lossy().starts_with(&name))
    }
}

async fn prepare(artifacts: &Artifacts, wanted: &[ArtifactRef]) -> Result<(Prepared, Vec<Progress>), Failure> {
    let seen = Mutex::new(Vec::new());
    let note = |progress| seen.lock().expect("no panic").push(progress);
    let prepared = artifacts.prepare(wanted, Some(Path::new(PYTHON)), note).await?;
    Ok((prepared, seen.into_inner().expect("no panic")))
}

fn start(home: &Path, reaper: &Reaper, cache_bytes_max: Option<u64>, args: &[&str]) -> Artifacts {
    start_with(home, reaper, cache_bytes_max, args, vec![PYTHON.into()])
}

fn start_with(
    home: &Path,
    reaper: &Reaper,
    cache_bytes_max: Option<u64>,
    args: &[&str],
    interpreters: Vec<PathBuf>,
) -> Artifacts {
    let config = Config {
        state_dir: home.join("state"),
        store: Store::Directory(home.join("store")),
        cache_bytes_max,
        interpreters,
        installer: installer(args),
    };
    Artifacts::start(config, reaper.clone(), no_cgroup(), Metrics::new().artifacts).expect("a usable state dir")
}

fn installer(args: &[&str]) -> InstallerProgram {
    InstallerProgram {
        path: PathBuf::from("/proc/self/exe"),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        mark_variable: ROLE.into(),
        // Tests run side by side; each knows its own processes by this.
        mark_prefix: mark_prefix(),
    }
}

fn mark_prefix() -> String {
    format!("{}/", std::process::id())
}

/// The integration tests run in real cgroups; these claims do not depend on them.
fn no_cgroup() -> Arc<Tree> {
    Arc::new(Tree::none("a unit test", Marker::prefix(ROLE, &mark_prefix())))
}
