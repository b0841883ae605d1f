//! The machine: booted by whichever test of a run comes first, while the others wait for its report.

use std::{
    env,
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use pexvisor_integration::{pexes::checkout, poll::became_true};

/// From power on to the last claim. Emulated, with other tests beside it; a minute and a half when it is alone.
const RUN_PATIENCE: Duration = Duration::from_secs(280);
/// From the kill of the emulator to its end.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// All of it is memory of this machine; the root file system and the installs are in it as well.
const MEMORY: &str = "2560M";

/// What a run of the machine left.
pub struct Report {
    /// What kernel and pexvisor wrote.
    pub console: String,
    /// What the guest's claims.py wrote.
    said: String,
}

impl Report {
    /// The report of the one boot that all tests of this run share.
    pub fn of_this_run() -> Self {
        let vm = checkout().join("target/vm");
        // nextest gives every run an id; each of its tests is a process of its own.
        let run = env::var("NEXTEST_RUN_ID").expect("these tests share one boot per run of `cargo nextest`");
        let lock =
            File::create(vm.join("run.lock")).expect("make the run's lock: has `make test-vm` prepared target/vm?");
        lock.lock().expect("wait for the test that boots the machine");
        if fs::read_to_string(vm.join("run.id")).ok().as_ref() != Some(&run) {
            boot(&vm);
            fs::write(vm.join("run.id"), run).expect("note that the machine has run");
        }
        let read =
            |file| String::from_utf8_lossy(&fs::read(vm.join(file)).expect("read what the machine wrote")).into();
        Self { console: read("console.log"), said: read("claims.log") }
    }

    /// The names of the claims that were made, kept or not.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.said.lines().filter_map(|line| line.strip_prefix("CLAIM ")?.split(' ').next())
    }

    /// Asserts that the claim was made and holds.
    pub fn assert_holds(&self, claim: &str) {
        let line =
            self.said.lines().find_map(|line| line.strip_prefix("CLAIM ")?.strip_prefix(claim)?.strip_prefix(' '));
        let Some(line) = line else {
            panic!("{claim} was never reached\n---- claims ----\n{}\n---- console ----\n{}", self.said, self.console)
        };
        assert!(line.trim_end() == "ok", "{}\n---- console ----\n{}", line.replace(" | ", "\n"), self.console);
    }
}

/// Runs the machine to its end.
///
/// The machine type is q35 for its timers: under load the kernel finds none that it trusts on `microvm` and hangs.
fn boot(vm: &Path) {
    let file = |name: &str| vm.join(name).to_string_lossy().into_owned();
    let serial = |name| format!("file:{}", file(name));
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", MEMORY])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .args(["-kernel", &file("vmlinuz"), "-initrd", &file("initramfs.cpio")])
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .args(["-serial", &serial("console.log"), "-serial", &serial("claims.log")])
        .stdin(Stdio::null());
    let mut machine = qemu.spawn().unwrap_or_else(|e| panic!("start {qemu:?}: {e}"));
    let mut has_ended = || machine.try_wait().expect("ask for the machine's end").is_some();
    if !became_true(RUN_PATIENCE, &mut has_ended) {
        machine.kill().expect("switch the machine off");
        became_true(KILL_PATIENCE, || machine.try_wait().is_ok_and(|ended| ended.is_some()));
    }
}
