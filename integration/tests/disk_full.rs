//! A full disk fails the deploy that needed it, and nothing else. Needs root, to mount a small tmpfs.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use pexvisor_integration::{Supervisor, request};
use pexvisor_proto::v1::FailureReason;

/// Holds what two sources and one set of dependencies need, with some to spare.
const STATE_DIR_BYTES: u64 = 256 * 1024 * 1024;
/// Written at once by the ballast: a page, so that no byte is left.
const BLOCK_BYTES: usize = 4096;
/// Left free by the ballast: enough for the journal, too little for a pex.
const LEFT_FREE_BYTES: u64 = 512 * 1024;

/// A small file system; gone with the test.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Self {
        fs::create_dir_all(at).expect("make the mount point");
        let options = format!("size={STATE_DIR_BYTES},mode=0755");
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .expect("mount a tmpfs as root");
        Self(at)
    }

    /// Writes zeros until the disk is full, gives `left` bytes of it back, and names the file.
    fn fill(&self, left: u64) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = fs::File::create(&ballast).expect("make the ballast");
        let zeros = vec![0; BLOCK_BYTES];
        while file.write(&zeros).is_ok_and(|written| written > 0) {}
        let full = file.metadata().expect("ask for its size").len();
        file.set_len(full - left).expect("give some of it back");
        ballast
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // A failing test may leave processes on it: detach.
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

#[tokio::test]
async fn a_full_disk_fails_the_deploy_and_the_next_one_succeeds_when_there_is_room() {
    let mut supervisor = Supervisor::prepare(&[]);
    let state_dir = supervisor.state_dir();
    let disk = SmallDisk::mount(&state_dir);
    supervisor.start_again().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let ballast = disk.fill(LEFT_FREE_BYTES);
    let outcome = control.deploy(request("etl", supervisor.store.echo("v2"))).await.unwrap();
    let (failure, still_serving) = outcome.failed(FailureReason::DiskFull);
    assert!(failure.message.contains("space") || failure.message.contains("full"), "{}", failure.message);
    assert_eq!(still_serving, 1);
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
    fs::remove_file(ballast).unwrap();
    control.deploy_ready("etl", supervisor.store.echo("v2")).await;
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v2:");
    drop(supervisor);
    drop(disk);
}

#[tokio::test]
async fn a_disk_without_one_free_byte_refuses_a_deploy_and_loses_nothing() {
    let mut supervisor = Supervisor::prepare(&[]);
    let state_dir = supervisor.state_dir();
    let disk = SmallDisk::mount(&state_dir);
    supervisor.start_again().await;
    let control = supervisor.control();
    control.deploy_ready("etl", supervisor.store.echo("v1")).await;
    let ballast = disk.fill(0);
    let refused = match control.deploy(request("etl", supervisor.store.echo("v2"))).await {
        Err(status) => status.code() == tonic::Code::ResourceExhausted || status.code() == tonic::Code::Internal,
        Ok(outcome) => outcome.failed(FailureReason::DiskFull).1 == 1,
    };
    assert!(refused);
    assert_eq!(supervisor.echo("etl").marker().await.unwrap(), "v1:");
    fs::remove_file(ballast).unwrap();
    supervisor.sigkill();
    supervisor.start_again().await;
    let marker =
        pexvisor_integration::eventually("it serves again", async || supervisor.echo("etl").marker().await.ok());
    assert_eq!(marker.await, "v1:");
    drop(supervisor);
    drop(disk);
}
