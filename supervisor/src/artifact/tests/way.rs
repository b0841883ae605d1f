//! Claims about the way from a list of artifacts to a venv, and about each way it fails.

use std::time::{Duration, Instant};

use super::*;
use crate::words::FailureReason;

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

    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        let (again, seen) = bench.prepare(&wanted).await.expect("prepared");
        fastest = fastest.min(started.elapsed());
        assert_eq!(again.venv, prepared.venv);
        assert!(all_cached(&seen) && seen.len() == 4, "{seen:?}");
    }
    assert!(fastest < Duration::from_millis(20), "{fastest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_nothing_is_fetched_or_installed_again() {
    let bench = Bench::new(None);
    let artifact = bench.pex("app", "print(1)").await;
    let (before, _) = bench.prepare(std::slice::from_ref(&artifact)).await.expect("prepared");
    fs::write(bench.state("tmp/garbage"), "").expect("written");
    fs::remove_dir_all(bench.home.path().join("store")).expect("removed");
    let artifacts = bench.started_again_without_installer();
    assert!(!bench.state("tmp/garbage").exists());
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
async fn a_guest_does_not_suffer_from_the_starters_bad_location() {
    let bench = Bench::new(None);
    let good = bench.pex("app", "").await;
    let slow_and_bad = ArtifactSource::Url("http://127.0.0.1:1/x".into());
    let bad = ArtifactRef { source: slow_and_bad, ..good.clone() };
    let (bad, good) = ([bad], [good]);
    // So that the first to come is the first to fetch.
    bench.artifacts.inner.interpreters.all().await;
    let starter = bench.prepare(&bad);
    let guest = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.prepare(&good).await
    };
    let (starter, guest) = tokio::join!(starter, guest);
    assert_eq!(starter.map(|_| ()).expect_err("nobody listens").reason, FailureReason::Fetch);
    guest.expect("its own location is good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_that_nobody_waits_for_ends_and_leaves_nothing() {
    let bench = Bench::new(None);
    // 30 MB take a while.
    let large = bench.pex("app", &format!("TEXT = {:?}", "x".repeat(30_000_000))).await;
    let wanted = [large];
    let prepare = bench.artifacts.prepare(&wanted, Some(Path::new(PYTHON)), |_| ());
    let installing = async {
        while fs::read_dir(bench.state("tmp")).expect("listed").flatten().all(|entry| !is_install(&entry)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        prepared = prepare => panic!("it was to be given up: {:?}", prepared.map(|_| ())),
        () = installing => {}
    }
    eventually("nothing is left", || fs::read_dir(bench.state("tmp")).expect("listed").next().is_none()).await;
    assert!(!bench.installed(&wanted[0]));
    bench.prepare(&wanted).await.expect("the next one is not disturbed");
}

fn is_install(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with("install.")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn byte_code_is_made_later() {
    let bench = Bench::new(None);
    let (prepared, _) = bench.prepare(&[bench.pex("app", "print(1)").await]).await.expect("prepared");
    let byte_code = prepared.sources[0].join("__pycache__/app.cpython-311.pyc");
    assert!(!byte_code.exists());
    bench.artifacts.compile_later(&prepared);
    eventually("there is byte code", || byte_code.exists()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_imports_from_new_dependencies_is_compiled_before_the_start() {
    let bench = Bench::new(None);
    let source = "import wanted\ndef late():\n    import unwanted\n";
    let artifact = bench.pex_with_wheels("app", source, &["wanted", "unwanted"]).await;
    let (mut prepared, _) = bench.prepare(&[artifact]).await.expect("prepared");
    let without = prepared.install_time;
    for command in [CommandKind::Module("app".into()), CommandKind::EntryPoint] {
        bench.artifacts.compile_before_start(&mut prepared, &command).await;
    }
    assert!(prepared.install_time > without, "it counts");
    let code = "import sys, importlib.util as u, os\n\
                print([os.path.exists(u.find_spec(name).cached) for name in ('app', 'wanted', 'unwanted')])";
    assert_eq!(bench.run(&prepared.python, &["-B", "-c", code]).await, "[True, True, False]");
    // Once is enough, also while the rest is not compiled yet.
    let wanted = bench.run(&prepared.python, &["-B", "-c", "import wanted; print(wanted.__cached__)"]).await;
    fs::remove_file(&wanted).expect("it was made");
    bench.artifacts.compile_before_start(&mut prepared, &CommandKind::EntryPoint).await;
    assert!(!Path::new(&wanted).exists());
    // When all of the dependencies are compiled, new sources are not worth a process.
    bench.artifacts.compile_later(&prepared);
    let wheel = || fs::read_dir(bench.state("wheels")).expect("listed").flatten().map(|wheel| wheel.path());
    let marked = || {
        wheel().filter(|path| {
            fs::read_dir(path).is_ok_and(|trees| trees.flatten().any(|tree| tree.path().join(".compiled").exists()))
        })
    };
    eventually("the rest is compiled", || marked().count() == 2).await;
    let other = bench.pex_with_wheels("other", source, &["wanted", "unwanted"]).await;
    let (mut prepared, _) = bench.prepare(&[other]).await.expect("prepared");
    bench.artifacts.compile_before_start(&mut prepared, &CommandKind::Module("other".into())).await;
    assert!(!prepared.sources[0].join("__pycache__").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_does_not_wait_for_a_slow_python_behind_one_that_fits() {
    let bench = Bench::new(None);
    let artifact = [bench.pex("app", "").await];
    let slow = bench.home.path().join("slow");
    fs::write(&slow, "#!/bin/sh\nexec sleep 15\n").expect("written");
    fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    let artifacts = start_with(bench.home.path(), &bench.reaper, None, &INSTALLER, vec![PYTHON.into(), slow]);
    tokio::select! {
        biased;
        prepared = artifacts.prepare(&artifact, None, |_| ()) => drop(prepared.expect("prepared")),
        _ = artifacts.inner.interpreters.all() => panic!("the slow one was waited for"),
    }
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
