//! Whether a process has begun to exit: from then on its control groups and its environment say nothing of it any more.

use std::{fs, io};

/// PF_EXITING (include/linux/sched.h), unchanged since Linux 2.6.
const EXITING: u64 = 0x4;
/// Fields of proc_pid_stat(5) between the name, which is the 2nd, and the flags, which are the 9th.
const FIELDS_BEFORE_FLAGS: usize = 6;

/// Has it begun to exit, zombies included? By its flags: its state says so only later.
pub(super) fn is_ending(pid: i32) -> io::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name stands in brackets and may hold anything.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let flags = after_name.split(' ').nth(FIELDS_BEFORE_FLAGS).and_then(|field| field.parse::<u64>().ok());
    Ok(flags.is_none_or(|flags| flags & EXITING != 0))
}

#[cfg(test)]
mod tests {
    use std::{process::Command, thread::sleep, time::Duration};

    use nix::{sys::wait::waitpid, unistd::Pid};

    use super::*;

    #[test]
    #[expect(clippy::zombie_processes, reason = "a zombie is what is looked at; it is waited for by its pid")]
    fn a_zombie_is_ending_and_a_living_process_is_not() {
        let living = std::process::id().cast_signed();
        assert!(!is_ending(living).expect("we live"));
        let child = Command::new("/bin/true").spawn().expect("a child");
        let pid = child.id().cast_signed();
        while !is_ending(pid).expect("a zombie stays until it is waited for") {
            sleep(Duration::from_millis(1));
        }
        waitpid(Pid::from_raw(pid), None).expect("our own child");
        is_ending(pid).expect_err("it is gone");
    }
}
