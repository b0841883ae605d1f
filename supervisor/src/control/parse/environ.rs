//! The environment variables of a revision.

use std::collections::{BTreeMap, HashMap};

use super::field::{BadField, Problem, bounded};

/// Names and values in all. With the arguments far below the kernel's 6 MiB (execve(2)), and every revision that is
/// kept holds them in memory and in the journal.
const ENV_BYTES_MAX: usize = 256 << 10;
/// One variable in bytes, below the kernel's MAX_ARG_STRLEN of 128 KiB for `name=value` (execve(2)).
const VARIABLE_BYTES_MAX: usize = 127 << 10;
/// Names that only the supervisor sets.
const RESERVED_PREFIX: &str = "PEXVISOR_";

/// The field `env`.
pub fn environ(env: HashMap<String, String>) -> Result<BTreeMap<String, String>, BadField> {
    // Sorted first, so that the same request names the same variable each time.
    let env = BTreeMap::from_iter(env);
    for (name, value) in &env {
        let shown: String = name.chars().take(64).collect();
        check(name, value).map_err(|problem| problem.at(format!("env[{shown:?}]")))?;
    }
    match env.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() {
        got if got > ENV_BYTES_MAX => Err(Problem::Text { max: ENV_BYTES_MAX, got }.at("env")),
        _ => Ok(env),
    }
}

fn check(name: &str, value: &str) -> Result<(), Problem> {
    if name.is_empty() || name.contains('=') {
        return Err(Problem::shape("a name must not be empty or contain =", name));
    }
    if name.starts_with(RESERVED_PREFIX) {
        return Err(Problem::shape("names starting with PEXVISOR_ are set by the supervisor; use another", name));
    }
    bounded(name, VARIABLE_BYTES_MAX)?;
    bounded(value, VARIABLE_BYTES_MAX.saturating_sub(name.len()))
}
