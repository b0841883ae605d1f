//! The pieces of Python that a venv starts with: the path line, what runs before it, and the pex's entry point. All
//! text that comes from a pex goes in as a literal.

use std::{fmt::Write as _, os::unix::ffi::OsStrExt, path::PathBuf};

use super::Installed;

/// The module that the path line imports first, beside it in the venv's own site-packages.
pub(super) const START: (&str, &str) = ("pexvisor_start.py", include_str!("pexvisor_start.py"));

/// One `import` line, run by `site` in every Python of the venv. Names of `site` itself are in its scope.
pub(super) fn path_line(installs: &[Installed]) -> String {
    let dirs = |name: &str, wanted: fn(&Installed) -> bool| -> Vec<PathBuf> {
        installs.iter().filter(|install| wanted(install)).map(|install| install.directory.join(name)).collect()
    };
    let site_packages = dirs("site-packages", |install| install.manifest.has_site_packages);
    let mut sources = dirs("sources", |install| install.manifest.has_sources);
    sources.reverse();
    format!(
        "import sys, pexvisor_start; list(map(addsitedir, {})); sys.path[0:0] = {}\n",
        literal_list(site_packages.iter().map(|path| path.as_os_str().as_bytes())),
        literal_list(sources.iter().map(|path| path.as_os_str().as_bytes())),
    )
}

/// `__main__.py`: runs the entry point of the last artifact that has one.
pub(super) fn main_program(installs: &[Installed]) -> String {
    let has_entry = |install: &&Installed| install.manifest.entry_point.is_some() || install.manifest.script.is_some();
    let Some(Installed { manifest, .. }) = installs.iter().rev().find(has_entry) else {
        return "import sys\nsys.exit('none of these pexes has an entry point: run a module or a script')\n".into();
    };
    let env = manifest
        .inject_env
        .iter()
        .map(|(name, value)| format!("{}: {}", literal(name.as_bytes()), literal(value.as_bytes())));
    let (module, attribute) = match &manifest.entry_point {
        Some(entry) => entry.split_once(':').unwrap_or((entry, "")),
        None => ("", ""),
    };
    format!(
        include_str!("main_program.py.txt"),
        inject_env = env.collect::<Vec<_>>().join(", "),
        inject_args = literal_list(manifest.inject_args.iter().map(String::as_bytes)),
        strip_pex_env = if manifest.strip_pex_env { "True" } else { "False" },
        script = literal(manifest.script.as_deref().unwrap_or("").as_bytes()),
        module = literal(module.trim().as_bytes()),
        attribute = literal(attribute.trim().as_bytes()),
    )
}

fn literal_list<'a>(items: impl Iterator<Item = &'a [u8]>) -> String {
    format!("[{}]", items.map(literal).collect::<Vec<_>>().join(", "))
}

/// An ASCII Python string literal for a path or text; bytes that are no UTF-8 become surrogates, as in `os.fsdecode`.
fn literal(bytes: &[u8]) -> String {
    let mut out = String::from("'");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                ' '..='~' => out.push(c),
                // Writing to a String cannot fail.
                _ => write!(out, "\\U{:08x}", u32::from(c)).expect("a String takes it"),
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\udc{byte:02x}").expect("a String takes it");
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_ascii_and_cannot_be_left() {
        assert_eq!(literal("a'b\\\n".as_bytes()), r"'a\'b\\\U0000000a'");
        assert_eq!(literal("é".as_bytes()), r"'\U000000e9'");
        assert_eq!(literal(b"\xff"), r"'\udcff'");
    }
}
