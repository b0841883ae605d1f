//! The supervisor itself, for a person.

use std::fmt::{self, Write};

use pexvisor_proto::v1;

use super::words;
use crate::units;

/// A DescribeResponse.
pub fn describe(answer: &v1::DescribeResponse) -> String {
    let mut text = String::new();
    write(&mut text, answer).expect("a String takes every write");
    text
}

fn write(text: &mut String, answer: &v1::DescribeResponse) -> fmt::Result {
    let v1::DescribeResponse {
        version,
        started,
        image,
        store,
        proxy_address,
        interpreters,
        enforcement,
        capacity,
        cache,
    } = answer;
    writeln!(text, "pexvisor     {version}, started {} ago", words::age(started.as_ref()))?;
    for (name, value) in [("image", image), ("store", store), ("proxy", proxy_address)] {
        writeln!(text, "{name:12} {}", if value.is_empty() { "-" } else { value })?;
    }
    for v1::Interpreter { path, version, implementation } in interpreters {
        writeln!(text, "interpreter  {path} ({implementation} {version})")?;
    }
    for v1::Enforcement { resource, tier, reason } in enforcement {
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        writeln!(text, "enforcement  {resource} by {tier}{why}")?;
    }
    if let Some(v1::Capacity { memory_bytes, cpu_millis, disk_bytes_free }) = capacity {
        let cores = f64::from(*cpu_millis) / 1000.0;
        let (memory, disk) = (units::show_bytes(*memory_bytes), units::show_bytes(*disk_bytes_free));
        writeln!(text, "capacity     {memory} of memory, {cores} cores, {disk} of disk free")?;
    }
    if let Some(v1::Cache { bytes, bytes_quota, artifacts, installs }) = cache {
        let (bytes, quota) = (units::show_bytes(*bytes), units::show_bytes(*bytes_quota));
        writeln!(text, "cache        {bytes} of {quota}: {artifacts} artifacts, {installs} installs")?;
    }
    Ok(())
}
