//! Step: the limit of open files per process.
//!
//! A maximum is soft and hard alike, so that the program cannot raise it. Without one the soft limit alone is set: ours may be
//! higher than what a program expects that uses select(2), which breaks at descriptor 1024. No limit on address space: runtimes that reserve much and
//! use little break under one.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub(super) fn limit(max: Option<u32>, soft: Option<u64>) -> io::Result<()> {
    let limit = match (max.map(u64::from), soft) {
        (Some(max), _) => Rlimit { current: Some(max), maximum: Some(max) },
        (None, Some(soft)) => Rlimit { current: Some(soft), ..getrlimit(Resource::Nofile) },
        (None, None) => return Ok(()),
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}
