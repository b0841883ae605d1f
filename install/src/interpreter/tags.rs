//! Wheel tags: which an interpreter takes, in which order of preference (PEP 425, 600, 656).
//!
//! The rules are those of `packaging.tags` 26; `tests/differential` compares with it on a real Python. Only Linux.

use std::fmt;

use super::{Interpreter, Libc};

/// One wheel tag, such as `cp311-cp311-manylinux_2_17_x86_64`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    /// `cp311`.
    pub python: String,
    /// `cp311`, `abi3`, `none`.
    pub abi: String,
    /// `manylinux_2_17_x86_64`, `any`.
    pub platform: String,
}

/// manylinux names from before PEP 600, by the glibc minor version (of 2.x) that they stand for.
const LEGACY_MANYLINUX: [(u32, &str); 3] = [(17, "manylinux2014"), (12, "manylinux2010"), (5, "manylinux1")];

/// Oldest glibc 2.x for which manylinux tags exist, on x86 and elsewhere.
const OLDEST_GLIBC_X86: u32 = 5;
const OLDEST_GLIBC: u32 = 17;

/// First CPython 3.x whose stable ABI counts (PEP 384).
const FIRST_ABI3: u32 = 2;

impl fmt::Display for Tag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}-{}", self.python, self.abi, self.platform)
    }
}

/// `cp311`, `pp310`: an implementation's short name and the version without dots.
pub(super) fn python_tag(interpreter: &Interpreter) -> String {
    let short = match interpreter.implementation.as_str() {
        "cpython" => "cp",
        "pypy" => "pp",
        other => other,
    };
    format!("{short}{}{}", interpreter.version.0, interpreter.version.1)
}

pub(super) fn compatible(interpreter: &Interpreter) -> Vec<Tag> {
    let platforms = platforms(interpreter);
    let mut tags = match interpreter.implementation.as_str() {
        "cpython" => cpython(interpreter, &platforms),
        _ => generic(interpreter, &platforms),
    };
    tags.extend(pure(interpreter, &platforms));
    tags
}

fn cpython(interpreter: &Interpreter, platforms: &[String]) -> Vec<Tag> {
    let python = python_tag(interpreter);
    let mut tags = Vec::new();
    for abi in cpython_abis(interpreter) {
        tags.extend(on_each(&python, &abi, platforms));
    }
    if interpreter.free_threaded {
        tags.extend(on_each(&python, "none", platforms));
        return tags;
    }
    tags.extend(on_each(&python, "abi3", platforms));
    tags.extend(on_each(&python, "none", platforms));
    for minor in (FIRST_ABI3..interpreter.version.1).rev() {
        tags.extend(on_each(&format!("cp3{minor}"), "abi3", platforms));
    }
    tags
}

fn cpython_abis(interpreter: &Interpreter) -> Vec<String> {
    let python = python_tag(interpreter);
    let (_, minor, _) = interpreter.version;
    let threads = if interpreter.free_threaded { "t" } else { "" };
    let debug = if interpreter.debug { "d" } else { "" };
    // Until 3.7 the ABI told the allocator, and every build has pymalloc.
    let malloc = if minor < 8 { "m" } else { "" };
    let mut abis = vec![format!("{python}{threads}{debug}{malloc}")];
    if interpreter.debug && minor >= 8 {
        abis.push(format!("{python}{threads}"));
    }
    abis
}

/// Other implementations: the ABI is in SOABI (`pypy310-pp73-x86_64-linux-gnu` means `pypy310_pp73`).
fn generic(interpreter: &Interpreter, platforms: &[String]) -> Vec<Tag> {
    let python = python_tag(interpreter);
    let abi: Vec<&str> = interpreter.soabi.iter().flat_map(|soabi| soabi.split('-').take(2)).collect();
    let abis = [abi.join("_"), "none".to_owned()];
    abis.iter().filter(|abi| !abi.is_empty()).flat_map(|abi| on_each(&python, abi, platforms)).collect()
}

fn pure(interpreter: &Interpreter, platforms: &[String]) -> Vec<Tag> {
    let (major, minor, _) = interpreter.version;
    let older = (0..minor).rev().map(|minor| format!("py{major}{minor}"));
    let pythons: Vec<String> = [format!("py{major}{minor}"), format!("py{major}")].into_iter().chain(older).collect();
    let own = match interpreter.implementation.as_str() {
        "pypy" => "pp3".to_owned(),
        _ => python_tag(interpreter),
    };
    let any = [&own].into_iter().chain(&pythons).map(|python| tag(python, "none", "any"));
    pythons.iter().flat_map(|python| on_each(python, "none", platforms)).chain(any).collect()
}

fn platforms(interpreter: &Interpreter) -> Vec<String> {
    let platform = interpreter.platform.replace(['-', '.', ' '], "_");
    let Some(machine) = platform.strip_prefix("linux_") else { return vec![platform] };
    let baselines = match interpreter.libc {
        Libc::Glibc { major: 2, minor } => manylinux(minor, machine),
        Libc::Musl { major, minor } => {
            (0..=minor).rev().map(|minor| format!("musllinux_{major}_{minor}_{machine}")).collect()
        }
        Libc::Glibc { .. } | Libc::Unknown => Vec::new(),
    };
    // First, as in packaging 26: a wheel that was built for this machine alone goes before a portable one.
    [format!("linux_{machine}")].into_iter().chain(baselines).collect()
}

fn manylinux(glibc_minor: u32, machine: &str) -> Vec<String> {
    let oldest = if matches!(machine, "x86_64" | "i686") { OLDEST_GLIBC_X86 } else { OLDEST_GLIBC };
    let mut platforms = Vec::new();
    for minor in (oldest..=glibc_minor).rev() {
        platforms.push(format!("manylinux_2_{minor}_{machine}"));
        platforms.extend(
            LEGACY_MANYLINUX.iter().filter(|(at, _)| *at == minor).map(|(_, name)| format!("{name}_{machine}")),
        );
    }
    platforms
}

fn on_each<'a>(python: &'a str, abi: &'a str, platforms: &'a [String]) -> impl Iterator<Item = Tag> + use<'a> {
    platforms.iter().map(move |platform| tag(python, abi, platform))
}

fn tag(python: &str, abi: &str, platform: &str) -> Tag {
    Tag { python: python.into(), abi: abi.into(), platform: platform.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::{probe::tests::system_python, tests_support::python};

    #[test]
    fn cpython_takes_its_own_abi_then_the_stable_one_then_none() {
        let tags: Vec<String> = python("3.11.2").tags().iter().map(ToString::to_string).collect();
        let at = |tag: &str| tags.iter().position(|known| known == tag).unwrap_or_else(|| panic!("{tag} is missing"));
        let order = [
            "cp311-cp311-linux_x86_64",
            "cp311-cp311-manylinux_2_36_x86_64",
            "cp311-cp311-manylinux_2_17_x86_64",
            "cp311-cp311-manylinux2014_x86_64",
            "cp311-cp311-manylinux1_x86_64",
            "cp311-abi3-manylinux_2_28_x86_64",
            "cp311-none-linux_x86_64",
            "cp310-abi3-manylinux2010_x86_64",
            "cp32-abi3-linux_x86_64",
            "py311-none-linux_x86_64",
            "cp311-none-any",
            "py311-none-any",
            "py3-none-any",
            "py30-none-any",
        ];
        assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])));
        assert!(!tags.iter().any(|tag| tag.contains("manylinux_2_37") || tag.contains("cp312")));
    }

    #[test]
    fn a_free_threaded_python_takes_no_stable_abi() {
        let python = Interpreter { free_threaded: true, version: (3, 13, 0), ..system_python() };
        let tags = python.tags();
        assert_eq!(tags[0].abi, "cp313t");
        assert!(tags.iter().all(|tag| tag.abi != "abi3"));
    }

    #[test]
    fn musl_takes_musllinux_and_no_manylinux() {
        let python = Interpreter { libc: Libc::Musl { major: 1, minor: 2 }, ..system_python() };
        let tags = python.tags();
        assert!(tags[1].platform.starts_with("musllinux_1_2_"), "{}", tags[1]);
        assert!(tags.iter().all(|tag| !tag.platform.contains("manylinux")));
    }
}
