//! Where this process is in the cgroup file systems, from /proc: mounts, and our own group in each.
//!
//! Only looks; whether anything there is writable is found by trying.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{CgroupError, Operation};

/// Our own group in each hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    /// In the v2 hierarchy.
    pub v2: Option<PathBuf>,
    /// In v1's hierarchies, by controller.
    pub v1: BTreeMap<String, PathBuf>,
}

/// One line of /proc/self/mountinfo.
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl Mounts {
    /// Reads /proc/self/mountinfo and /proc/self/cgroup.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn discover() -> Result<Self, CgroupError> {
        let read = |path: &str| fs::read_to_string(path).map_err(CgroupError::io(Operation::Read, path));
        Ok(Self::parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?))
    }

    fn parse(mountinfo: &str, own: &str) -> Self {
        let mut mounts = Self::default();
        for mount in mountinfo.lines().filter_map(Mount::parse) {
            match mount.kind {
                "cgroup2" => mounts.v2 = own_group(own, "").map(|group| mount.locate(group)),
                "cgroup" => {
                    for controller in mount.options.split(',') {
                        let Some(group) = own_group(own, controller) else { continue };
                        mounts.v1.entry(controller.to_owned()).or_insert_with(|| mount.locate(group));
                    }
                }
                _ => {}
            }
        }
        mounts
    }
}

/// Our group in the hierarchy of `controller`, `""` being v2's, from lines of `number:controller,…:group`.
fn own_group<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?;
        controllers.split(',').any(|name| name == controller).then(|| parts.next())?
    })
}

impl<'a> Mount<'a> {
    /// Fields as in proc_pid_mountinfo(5): a variable number of them before the ` - `.
    fn parse(line: &'a str) -> Option<Self> {
        let (place, file_system) = line.split_once(" - ")?;
        let (mut place, mut file_system) = (place.split(' ').skip(3), file_system.split(' '));
        let (root, point) = (place.next()?, place.next()?);
        Some(Self { root, point, kind: file_system.next()?, options: file_system.nth(1)? })
    }

    /// The directory of `group`. Its path starts at our cgroup namespace's root, the mount perhaps further down (a
    /// container that sees its own group as the mount's root): then the mount point is our group.
    fn locate(&self, group: &str) -> PathBuf {
        let below = Path::new(group).strip_prefix(self.root).unwrap_or(Path::new(""));
        Path::new(self.point).join(below).components().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1(controller: &str, mountinfo: &str, own: &str) -> Option<PathBuf> {
        Mounts::parse(mountinfo, own).v1.get(controller).cloned()
    }

    #[test]
    fn a_group_is_found_below_the_hierarchys_mount() {
        let mountinfo = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                         36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        let own = "4:memory:/jobs/a\n2:cpu,cpuacct:/\n0::/\n";
        assert_eq!(v1("memory", mountinfo, own), Some("/sys/fs/cgroup/memory/jobs/a".into()));
        assert_eq!(v1("cpuacct", mountinfo, own), Some("/sys/fs/cgroup/cpu,cpuacct".into()));
        assert_eq!(v1("pids", mountinfo, own), None);
    }

    #[test]
    fn a_container_that_sees_only_its_own_group_finds_it_at_the_mount_point() {
        let mountinfo = "35 31 0:32 /docker/7 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        assert_eq!(v1("memory", mountinfo, "4:memory:/docker/7\n"), Some("/sys/fs/cgroup/memory".into()));
        let mountinfo = "35 31 0:32 /../.. /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        assert_eq!(v1("memory", mountinfo, "4:memory:/\n"), Some("/sys/fs/cgroup/memory".into()));
    }

    #[test]
    fn the_unified_hierarchy_is_found_with_optional_fields_in_the_mount_line() {
        let mountinfo = "31 23 0:28 / /sys/fs/cgroup rw shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(Mounts::parse(mountinfo, "0::/a/b\n").v2, Some("/sys/fs/cgroup/a/b".into()));
    }
}
