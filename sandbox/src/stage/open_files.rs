//! Step: the limit of open files per process.
//!
//! Soft and hard alike, so that the program cannot raise it. No limit on address space: runtimes that reserve much and
//! use little break under one.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

pub(super) fn limit(count: Option<u32>) -> io::Result<()> {
    let Some(count) = count.map(u64::from) else { return Ok(()) };
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum: Some(count) })?)
}
