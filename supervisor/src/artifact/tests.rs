//! Claims about the face, with real installer processes and the system's Python. The test binary is its own stage
//! program and its own installer.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use pexvisor_sandbox::{StageProgram, cgroup::Tree, stray::Marker};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::words::{ArtifactRef, ArtifactSource, Failure, FailureReason};

/// Marks our processes, and tells the test binary which part it plays.
const ROLE: &str = "PEXVISOR_TEST_ROLE";
const PYTHON: &str = "/usr/bin/python3";

/// Writes a pex with one module: argv is the file, the module's name and its source.
const MAKE_PEX: &str = r#"
import json, sys, zipfile
path, module, source = sys.argv[1:]
info = {"build_properties": {"pex_version": "2.59.5"}, "code_hash": "0" * 40, "distributions": {}, "requirements": [],
        "deps_are_wheel_files": False, "entry_point": module, "interpreter_constraints": [], "pex_hash": "1" * 40}
with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pex:
    pex.writestr("PEX-INFO", json.dumps(info))
    pex.writestr("__main__.py", "raise SystemExit('not to be run')")
    pex.writestr(module + ".py", source)
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
    if std::env::var(ROLE).is_ok_and(|role| role.starts_with("installer")) {
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
    state: tempfile::TempDir,
    reaper: Reaper,
    artifacts: Artifacts,
}

impl Bench {
    fn new(cache_bytes_max: Option<u64>) -> Self {
        let args = ["artifact::tests::acts_as_the_stage_program", "--exact", "--nocapture"];
        let stage = StageProgram::other("/proc/self/exe", args.map(Into::into));
        let reaper = Reaper::start_with(stage).expect("a runtime with signals");
        let state = tempfile::tempdir().expect("a state dir");
        fs::create_dir(state.path().join("store")).expect("a store");
        let args = ["artifact::tests::acts_as_the_installer", "--exact", "--nocapture"];
        let artifacts = start(state.path(), &reaper, cache_bytes_max, &args);
        Self { state, reaper, artifacts }
    }

    /// A second start on the same state directory, whose installer cannot run.
    fn started_again_without_installer(&self) -> Artifacts {
        start(self.state.path(), &self.reaper, None, &["no such test", "--exact"])
    }

    fn put(&self, bytes: &[u8]) -> ArtifactRef {
        let digest = Digest::from_bytes(Sha256::digest(bytes).into());
        fs::write(self.state.path().join("store").join(format!("{digest}.pex")), bytes).expect("written");
        ArtifactRef { digest, source: ArtifactSource::Store }
    }

    async fn pex(&self, module: &str, source: &str) -> ArtifactRef {
        let path = self.state.path().join("making.pex");
        let path = path.to_str().expect("a plain path");
        self.python(&["-c", MAKE_PEX, path, module, source]).await;
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
        let installs = fs::read_dir(self.state.path().join("installs")).expect("listed");
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

fn start(state: &Path, reaper: &Reaper, cache_bytes_max: Option<u64>, args: &[&str]) -> Artifacts {
    let config = Config {
        state_dir: state.to_owned(),
        store: Store::Directory(state.join("store")),
        cache_bytes_max,
        interpreters: vec![PYTHON.into()],
        installer: installer(args),
    };
    Artifacts::start(config, reaper.clone(), no_cgroup(), crate::metrics::Metrics::new().artifacts)
        .expect("a usable state dir")
}

fn installer(args: &[&str]) -> InstallerProgram {
    InstallerProgram {
        path: PathBuf::from("/proc/self/exe"),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        mark_variable: ROLE.into(),
        mark_prefix: String::new(),
    }
}

/// The integration tests run in real cgroups; these claims do not depend on them.
fn no_cgroup() -> Arc<Tree> {
    Arc::new(Tree::none("a unit test", Marker::prefix(ROLE, "installer")))
}

fn all_cached(seen: &[Progress]) -> bool {
    seen.iter().all(|progress| match progress {
        Progress::Fetching { cached, .. } => *cached,
        Progress::Installing { cached, done, .. } => *cached && *done,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn artifacts_become_a_venv_that_runs_them_and_are_found_again_in_milliseconds() {
    let bench = Bench::new(None);
    let deps = bench.pex("greeting", "TEXT = 'hello'").await;
    let source = bench.pex("app", "import greeting; print(greeting.TEXT, __name__)").await;
    let wanted = [deps, source];
    let (prepared, seen) = bench.prepare(&wanted).await.expect("prepared");
    assert_eq!(bench.run(&prepared.python, &["-m", "app"]).await, "hello __main__");
    assert!(prepared.has_entry_point() && prepared.script("nothing").is_none());
    assert_eq!(prepared.sources.len(), 2);
    assert!(!all_cached(&seen));
    assert!(seen.contains(&Progress::Installing { digest: wanted[1].digest, cached: false, done: true }), "{seen:?}");

    let started = Instant::now();
    let (again, seen) = bench.prepare(&wanted).await.expect("prepared");
    let took = started.elapsed();
    assert_eq!(again.venv, prepared.venv);
    assert!(all_cached(&seen) && seen.len() == 4, "{seen:?}");
    assert!(took < Duration::from_millis(50), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_nothing_is_fetched_or_installed_again() {
    let bench = Bench::new(None);
    let artifact = bench.pex("app", "print(1)").await;
    let (before, _) = bench.prepare(std::slice::from_ref(&artifact)).await.expect("prepared");
    fs::write(bench.state.path().join("tmp/garbage"), "").expect("written");
    fs::remove_dir_all(bench.state.path().join("store")).expect("removed");
    let artifacts = bench.started_again_without_installer();
    assert!(!bench.state.path().join("tmp/garbage").exists());
    let (after, seen) = prepare(&artifacts, &[artifact]).await.expect("from what is on disk");
    assert_eq!(after.venv, before.venv);
    assert!(all_cached(&seen), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_says_what_kind_it_is() {
    let bench = Bench::new(None);
    let reason = async |wanted: ArtifactRef| {
        let failure = bench.prepare(&[wanted]).await.map(|_| ()).expect_err("it fails");
        assert!(failure.message.contains("failed to"), "{}", failure.message);
        failure.reason
    };
    let no_pex = bench.put(b"this is no zip");
    assert_eq!(reason(no_pex.clone()).await, FailureReason::BadArtifact);
    let good = bench.pex("app", "").await;
    let missing = ArtifactRef { digest: Digest::from_bytes([1; 32]), source: ArtifactSource::Store };
    assert_eq!(reason(missing.clone()).await, FailureReason::Fetch);
    let outside = ArtifactRef { source: ArtifactSource::Named("../x".into()), ..missing };
    assert_eq!(reason(outside).await, FailureReason::Fetch);
    let other = ArtifactRef {
        digest: Digest::from_bytes([2; 32]),
        source: ArtifactSource::Named(format!("{}.pex", good.digest)),
    };
    assert_eq!(reason(other).await, FailureReason::DigestMismatch);
    let no_python = bench.artifacts.prepare(&[good], Some(Path::new("/bin/true")), |_| ()).await;
    assert_eq!(no_python.map(|_| ()).expect_err("no Python").reason, FailureReason::NoInterpreter);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installer_that_dies_is_told_with_its_last_words() {
    let bench = Bench::new(None);
    let artifact = bench.pex("app", "").await;
    let artifacts = bench.started_again_without_installer();
    let failure = prepare(&artifacts, &[artifact]).await.map(|_| ()).expect_err("no installer");
    assert_eq!(failure.reason, FailureReason::Internal);
    assert!(failure.message.contains("the installer, which"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweep_takes_what_was_used_longest_ago_and_never_what_is_held() {
    let bench = Bench::new(None);
    let (held, old, new) = (bench.pex("held", "").await, bench.pex("old", "").await, bench.pex("new", "").await);
    let hold = bench.artifacts.hold([held.digest]);
    for artifact in [&held, &old, &new] {
        bench.prepare(std::slice::from_ref(artifact)).await.expect("prepared");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = bench.artifacts.inner.sweep.sweep(Depth::Quota).await;
    assert_eq!((before.artifacts, before.installs), (3, 3));
    let sweep = Sweep::new(
        bench.artifacts.inner.places.clone(),
        bench.artifacts.inner.holds.clone(),
        Arc::default(),
        before.bytes - 1,
    );
    let after = sweep.sweep(Depth::Quota).await;
    assert_eq!((after.artifacts, after.installs), (2, 2));
    assert!(bench.installed(&held) && !bench.installed(&old) && bench.installed(&new));
    sweep.sweep(Depth::Everything).await;
    assert!(bench.installed(&held) && !bench.installed(&new));
    drop(hold);
    assert_eq!(sweep.sweep(Depth::Everything).await.bytes, 0);
    assert_eq!(fs::read_dir(bench.state.path().join("venvs")).expect("listed").count(), 0);
    bench.prepare(&[held]).await.expect("what was swept is made anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_does_not_suffer_from_the_starters_bad_location() {
    let bench = Bench::new(None);
    let good = bench.pex("app", "").await;
    let slow_and_bad = ArtifactSource::Url("http://127.0.0.1:1/x".into());
    let bad = ArtifactRef { source: slow_and_bad, ..good.clone() };
    let (bad, good) = ([bad], [good]);
    let starter = bench.prepare(&bad);
    let guest = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.prepare(&good).await
    };
    let (starter, guest) = tokio::join!(starter, guest);
    assert_eq!(starter.map(|_| ()).expect_err("nobody listens").reason, FailureReason::Fetch);
    guest.expect("its own location is good");
}
