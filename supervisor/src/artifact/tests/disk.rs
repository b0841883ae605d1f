//! Claims about the disk: what is swept, what never is, and what happens when it is full.

use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::*;
use crate::words::FailureReason;

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
    assert_eq!(fs::read_dir(bench.state("venvs")).expect("listed").count(), 0);
    bench.prepare(&[held]).await.expect("what was swept is made anew");
}

/// A home whose state directory is on a small disk of its own. The tests of this crate run as root, as pexvisor does.
struct SmallDisk {
    state: PathBuf,
}

impl SmallDisk {
    fn mounted(home: &Path, size: &str) -> Self {
        let state = home.join("state");
        fs::create_dir(&state).expect("a state dir");
        let options = format!("size={size}");
        let tmpfs = Some("tmpfs");
        mount(tmpfs, &state, tmpfs, MsFlags::empty(), Some(options.as_str())).expect("a tmpfs: run the tests as root");
        Self { state }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        umount2(&self.state, MntFlags::MNT_DETACH).expect("unmounted");
    }
}

/// A source that does not shrink much: some 1.2 MB as a pex and 2 MB installed.
fn noise(seed: u64) -> String {
    let words = (0..125_000_u64).map(|n| (n + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ seed);
    format!("TEXT = '{}'", words.map(|word| format!("{word:016x}")).collect::<String>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_swept_once_and_the_deploy_goes_on() {
    let home = tempfile::tempdir().expect("a home");
    let _disk = SmallDisk::mounted(home.path(), "12m");
    let bench = Bench::in_home(home, Some(u64::MAX));
    let held = bench.pex("held", &noise(0)).await;
    let _hold = bench.artifacts.hold([held.digest]);
    bench.prepare(std::slice::from_ref(&held)).await.expect("prepared");
    for number in 1..8 {
        let next = bench.pex("next", &noise(number)).await;
        bench.prepare(&[next]).await.expect("there is room, or it is made");
    }
    assert!(bench.installed(&held), "what is held stays");
    assert!(bench.artifacts.describe().bytes_freed > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_fails_with_disk_full_and_hurts_nobody_else() {
    let home = tempfile::tempdir().expect("a home");
    let _disk = SmallDisk::mounted(home.path(), "6m");
    let bench = Bench::in_home(home, Some(u64::MAX));
    let held = bench.pex("held", &noise(0)).await;
    let (prepared, _) = bench.prepare(std::slice::from_ref(&held)).await.expect("prepared");
    for too_large in [bench.put(&[1; 8_000_000]), bench.pex("large", &noise(1).repeat(3).replace('\'', "\"")).await] {
        let failure = bench.prepare(&[too_large]).await.map(|_| ()).expect_err("it does not fit");
        assert_eq!(failure.reason, FailureReason::DiskFull, "{}", failure.message);
    }
    assert!(bench.installed(&held), "held by what was prepared of it");
    drop(prepared);
    bench.prepare(&[bench.pex("small", "").await]).await.expect("the disk is usable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_quota_does_not_hold_is_refused_before_it_is_fetched() {
    let bench = Bench::new(Some(3_000_000));
    let held = bench.pex("held", &noise(0)).await;
    let (_prepared, _) = bench.prepare(&[held]).await.expect("one may go over");
    bench.artifacts.inner.sweep.sweep(Depth::Quota).await;
    let next = bench.pex("next", "").await;
    let failure = bench.prepare(std::slice::from_ref(&next)).await.map(|_| ()).expect_err("no room is to be made");
    assert_eq!(failure.reason, FailureReason::DiskFull);
    assert!(failure.message.contains("--cache-bytes-max"), "{}", failure.message);
    assert!(bench.artifacts.inner.fetch.cached(next.digest).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_of_the_machine_artifacts_are_hashed_again_and_installs_made_anew() {
    let bench = Bench::new(None);
    let (whole, damaged) = (bench.pex("whole", "").await, bench.pex("damaged", "").await);
    for artifact in [&whole, &damaged] {
        bench.prepare(std::slice::from_ref(artifact)).await.expect("prepared");
    }
    let mark = bench.state("cache-not-synced");
    assert!(mark.exists(), "there is something that a crash would lose");
    fs::write(&mark, "another boot").expect("written");
    let file = bench.state("artifacts").join(format!("{}.pex", damaged.digest));
    fs::remove_file(&file).expect("removed");
    fs::write(&file, "zeros").expect("written");
    fs::remove_file(bench.home.path().join("store").join(format!("{}.pex", whole.digest))).expect("removed");
    let after = bench.started_again();
    assert!(!bench.installed(&whole) && !bench.installed(&damaged));
    prepare(&after, &[whole]).await.expect("its file was whole, and the store is not asked");
    prepare(&after, &[damaged]).await.expect("it is fetched from the store again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_supervisor_alone_distrusts_nothing() {
    let bench = Bench::new(None);
    let artifact = bench.pex("app", "").await;
    bench.prepare(std::slice::from_ref(&artifact)).await.expect("prepared");
    bench.started_again();
    assert!(bench.state("cache-not-synced").exists() && bench.installed(&artifact));
}
