//! Describe: the supervisor itself, and what the container leaves to it.

use std::{path::PathBuf, time::SystemTime};

use pexvisor_install::Interpreter;
use pexvisor_proto::v1;
use pexvisor_sandbox::cgroup::Enforcement;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::show;
use crate::artifact::{Description, Usage};

/// What is known of the supervisor from its start on.
#[derive(Clone, Debug)]
pub struct About {
    /// When it started.
    pub started: SystemTime,
    /// The identity of the container image, as given.
    pub image: String,
    /// Where the proxy listens.
    pub proxy_address: String,
    /// The directory whose disk is the one that fills.
    pub state_dir: PathBuf,
    /// How well each resource is held.
    pub enforcement: Vec<Enforcement>,
}

impl About {
    /// A DescribeResponse, with `cached` as what is on disk.
    pub fn describe(&self, cached: Description) -> v1::DescribeResponse {
        let Description { store, usage, bytes_freed: _, interpreters } = cached;
        v1::DescribeResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: Some(show::timestamp(self.started)),
            image: self.image.clone(),
            store,
            proxy_address: self.proxy_address.clone(),
            interpreters: interpreters.iter().map(interpreter).collect(),
            enforcement: self.enforcement.iter().map(enforcement).collect(),
            capacity: Some(self.capacity()),
            cache: Some(cache(usage)),
        }
    }

    fn capacity(&self) -> v1::Capacity {
        v1::Capacity { memory_bytes: memory_bytes(), cpu_millis: cpu_millis(), disk_bytes_free: self.disk_bytes_free() }
    }

    /// 0 when the kernel does not tell.
    fn disk_bytes_free(&self) -> u64 {
        nix::sys::statvfs::statvfs(&self.state_dir)
            .map_or(0, |disk| disk.blocks_available().saturating_mul(disk.fragment_size()))
    }
}

/// The container's limit, or the machine's memory where there is none; 0 when the kernel does not tell.
fn memory_bytes() -> u64 {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let Ok(system) = System::new_with_specifics(memory) else { return 0 };
    let machine = system.total_memory();
    system.cgroup_limits().map_or(machine, |limits| limits.total_memory.min(machine))
}

/// What the cgroup's quota and the affinity allow, in thousandths of a core.
fn cpu_millis() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores.saturating_mul(1000)).unwrap_or(u32::MAX)
}

fn interpreter(found: &Interpreter) -> v1::Interpreter {
    let (major, minor, micro) = found.version;
    v1::Interpreter {
        path: found.path.to_string_lossy().into_owned(),
        version: format!("{major}.{minor}.{micro}"),
        implementation: found.implementation.clone(),
    }
}

fn enforcement(held: &Enforcement) -> v1::Enforcement {
    let Enforcement { resource, tier, reason } = held;
    v1::Enforcement { resource: resource.to_string(), tier: tier.to_string(), reason: reason.clone() }
}

fn cache(usage: Usage) -> v1::Cache {
    let Usage { bytes, bytes_max, artifacts, installs, wheels: _ } = usage;
    v1::Cache { bytes, bytes_quota: bytes_max, artifacts, installs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_memory_a_core_and_a_disk() {
        let state_dir = std::env::temp_dir();
        let about = About {
            started: SystemTime::now(),
            image: String::new(),
            proxy_address: String::new(),
            state_dir,
            enforcement: Vec::new(),
        };
        let v1::Capacity { memory_bytes, cpu_millis, disk_bytes_free } = about.capacity();
        assert!(memory_bytes > 64 << 20, "{memory_bytes}");
        assert!(cpu_millis >= 1000 && cpu_millis % 1000 == 0, "{cpu_millis}");
        assert!(disk_bytes_free > 0);
    }
}
