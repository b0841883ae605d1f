//! What the kernel says: processes, cgroups, sockets and files, never pexvisor's own word.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// A live process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its arguments, parted by spaces.
    pub command: String,
}

/// The live processes that name `dir` in their arguments or environment: the supervisor on that state dir and all that
/// it started. Zombies have neither and are not seen.
pub fn processes_naming(dir: &Path) -> Vec<Process> {
    let names_it = |file: PathBuf| fs::read(file).is_ok_and(|bytes| contains(&bytes, dir.as_os_str().as_bytes()));
    let me = std::process::id().cast_signed();
    pids()
        .into_iter()
        .filter(|&pid| pid != me)
        .filter(|pid| {
            names_it(format!("/proc/{pid}/cmdline").into()) || names_it(format!("/proc/{pid}/environ").into())
        })
        .map(|pid| Process { pid, command: command(pid) })
        .collect()
}

/// Every process id on this machine.
pub fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted").filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether the process lives: it is there and no zombie.
pub fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// The direct children of a process, zombies included.
pub fn children(pid: i32) -> Vec<i32> {
    pids().into_iter().filter(|&child| parent(child) == Some(pid)).collect()
}

/// Every descendant of a process.
pub fn descendants(pid: i32) -> Vec<i32> {
    let mut found = children(pid);
    let mut next = 0;
    while next < found.len() {
        found.extend(children(found[next]));
        next += 1;
    }
    found
}

/// The children of a process that have ended and were not waited for.
pub fn zombies(pid: i32) -> Vec<i32> {
    children(pid).into_iter().filter(|&child| state(child) == Some('Z')).collect()
}

/// The cgroup folders of a process, of every hierarchy mounted where Linux has them by custom.
pub fn cgroups(pid: i32) -> Vec<PathBuf> {
    let lines = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    lines.lines().filter_map(cgroup_folder).filter(|folder| folder.is_dir()).collect()
}

/// One line of /proc/PID/cgroup, `5:memory:/a/b`, as a folder.
fn cgroup_folder(line: &str) -> Option<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
    let v1 = Path::new("/sys/fs/cgroup").join(controllers.trim_start_matches("name="));
    let unified = Path::new("/sys/fs/cgroup/unified");
    let mount = match controllers {
        "" if unified.is_dir() => unified.to_owned(),
        "" => "/sys/fs/cgroup".into(),
        _ => v1,
    };
    Some(mount.join(path))
}

/// Every file, link and socket under a folder; directories are not listed.
pub fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_under(&entry.path())),
            _ => found.push(entry.path()),
        }
    }
    found
}

/// As [`files_under`], without byte code, which is made in the background whenever there is time.
pub fn files_but_byte_code(dir: &Path) -> Vec<PathBuf> {
    let mut files = files_under(dir);
    files.retain(|file| file.extension().is_none_or(|extension| extension != "pyc"));
    files
}

/// The unix sockets that some process holds under this folder.
pub fn sockets_under(dir: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/unix").expect("/proc is mounted");
    let dir = dir.to_string_lossy().into_owned();
    table
        .lines()
        .filter_map(|line| line.split(' ').next_back())
        .filter(|path| path.starts_with(&dir))
        .map(Into::into)
        .collect()
}

fn command(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn state(pid: i32) -> Option<char> {
    stat_fields(pid)?.split(' ').next()?.chars().next()
}

fn parent(pid: i32) -> Option<i32> {
    stat_fields(pid)?.split(' ').nth(1)?.parse().ok()
}

/// /proc/PID/stat from the state on: the command before it may hold anything, in brackets.
fn stat_fields(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ").map(|(_, fields)| fields.to_owned())
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
