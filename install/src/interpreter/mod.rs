//! The Pythons of this machine: what one is, which wheels it takes, how it is found.
//!
//! Nothing here starts a process: [`probe_command`] says what to run and [`parse_probe`] reads what it printed,
//! so that each side can use its own way of waiting for children.

mod discover;
mod probe;
mod tags;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use discover::candidates;
pub use probe::{ProbeError, parse_probe, probe_command};
pub use tags::Tag;

/// Hex digits of the hash in [`Interpreter::key`]: 40 bits, enough to tell a handful of interpreters apart.
const KEY_HEX_DIGITS: usize = 10;

/// One probed Python.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// The base interpreter's executable, never a venv's.
    pub path: PathBuf,
    /// `sys.implementation.name`: `cpython`, `pypy`.
    pub implementation: String,
    /// Major, minor, micro.
    pub version: (u32, u32, u32),
    /// `sys.implementation.cache_tag`, which names its .pyc files: `cpython-311`.
    pub cache_tag: String,
    /// The .pyc magic number, 8 hex digits.
    pub magic: String,
    /// `SOABI`, which names its extension modules, if it has one.
    pub soabi: Option<String>,
    /// Built with `Py_DEBUG`.
    pub debug: bool,
    /// Built without the global interpreter lock.
    pub free_threaded: bool,
    /// `sysconfig.get_platform()`: `linux-x86_64`.
    pub platform: String,
    /// The C library it runs on.
    pub libc: Libc,
    /// Directories of the standard library, in the order of `sys.path`.
    pub stdlib: Vec<PathBuf>,
    /// What environment markers are evaluated with.
    pub markers: Markers,
}

/// A C library and its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Libc {
    /// glibc.
    Glibc {
        /// Major version.
        major: u32,
        /// Minor version.
        minor: u32,
    },
    /// musl.
    Musl {
        /// Major version.
        major: u32,
        /// Minor version.
        minor: u32,
    },
    /// None of them.
    Unknown,
}

/// The values of PEP 508 environment markers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Markers {
    /// `implementation_name`.
    pub implementation_name: String,
    /// `implementation_version`.
    pub implementation_version: String,
    /// `os_name`.
    pub os_name: String,
    /// `platform_machine`.
    pub platform_machine: String,
    /// `platform_python_implementation`.
    pub platform_python_implementation: String,
    /// `platform_release`: the kernel's, so it is no part of an interpreter's key.
    pub platform_release: String,
    /// `platform_system`.
    pub platform_system: String,
    /// `platform_version`: the kernel's, so it is no part of an interpreter's key.
    pub platform_version: String,
    /// `python_full_version`.
    pub python_full_version: String,
    /// `python_version`.
    pub python_version: String,
    /// `sys_platform`.
    pub sys_platform: String,
}

impl Interpreter {
    /// A short name for all that makes an install differ: `cp311-0a1b2c3d4e`. Two interpreters with one key can
    /// use each other's installs; the path is no part of it, so an image may move its Python.
    pub fn key(&self) -> String {
        let identity = serde_json::json!([
            self.implementation,
            self.markers.python_full_version,
            self.cache_tag,
            self.magic,
            self.soabi,
            self.debug,
            self.free_threaded,
            self.platform,
            self.libc,
        ]);
        let hash = hex(&Sha256::digest(identity.to_string()));
        format!("{}-{}", self.python_tag(), &hash[..KEY_HEX_DIGITS])
    }

    /// The interpreter's part of a wheel tag: `cp311`.
    pub fn python_tag(&self) -> String {
        tags::python_tag(self)
    }

    /// Wheel tags it takes, the most specific first, as `packaging.tags.sys_tags()` lists them.
    pub fn tags(&self) -> Vec<Tag> {
        tags::compatible(self)
    }

    /// The directory name in `lib/`: `python3.11`, `pypy3.10`.
    pub fn library_name(&self) -> String {
        let stem = if self.implementation == "pypy" { "pypy" } else { "python" };
        let thread = if self.free_threaded { "t" } else { "" };
        format!("{stem}{}.{}{thread}", self.version.0, self.version.1)
    }

    /// What it is, for a person: `CPython 3.11.2 at /usr/bin/python3.11`.
    pub fn describe(&self) -> String {
        let Markers { platform_python_implementation: implementation, python_full_version: version, .. } =
            &self.markers;
        format!("{implementation} {version} ({}) at {}", self.platform, self.path.display())
    }
}

/// Lowercase hex digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) mod tests_support {
    use super::{Interpreter, probe::tests::system_python};

    /// The system's Python, pretending to be CPython `version` on glibc 2.36, x86-64.
    pub(crate) fn python(version: &str) -> Interpreter {
        let parts: Vec<u32> = version.split('.').map(|part| part.parse().expect("a number")).collect();
        let mut python = system_python();
        python.version = (parts[0], parts[1], parts[2]);
        python.platform = "linux-x86_64".into();
        python.libc = super::Libc::Glibc { major: 2, minor: 36 };
        python.markers.python_full_version = version.into();
        python.markers.python_version = format!("{}.{}", parts[0], parts[1]);
        python
    }
}
