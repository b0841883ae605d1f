//! Scripts in `bin/`: their names, their first lines, and rendering them.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::{VenvError, at};

/// Bytes of a first line that every kernel since 2.6 reads whole: BINPRM_BUF_SIZE was 128, with the newline.
const SHEBANG_BYTES_MAX: usize = 127;

/// Bytes of a Python script that is copied for its first line's sake; larger ones (real ones have some kB) stay
/// links, so that a hostile wheel cannot fill the venv's disk or the supervisor's memory.
const SCRIPT_BYTES_MAX: u64 = 4 << 20;

/// Bytes of a name: NAME_MAX.
const NAME_BYTES_MAX: usize = 255;

/// Whether a pex may name a script so: one path component, nothing that a terminal or a shell trips over.
pub(crate) fn is_script_name(name: &str) -> bool {
    let plain = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.starts_with('.');
    plain && !name.contains('/') && !name.chars().any(char::is_control)
}

/// The first line (or lines) that run the rest of a file with `python`; none if no form can express its path.
pub(super) fn shebang(python: &Path) -> Option<String> {
    let path = python.to_str()?;
    if path.contains(|c: char| c.is_control() || "'\"$`\\".contains(c)) {
        return None;
    }
    if path.len() + "#!".len() <= SHEBANG_BYTES_MAX && !path.contains(char::is_whitespace) {
        return Some(format!("#!{path}\n"));
    }
    // To sh these lines are an exec, to Python a string.
    Some(format!("#!/bin/sh\n'''exec' \"{path}\" \"$0\" \"$@\"\n' '''\n"))
}

/// The text of a console script; none if the entry point is no Python name, so that nothing could run it.
pub(super) fn console_script(shebang: &str, module: &str, attribute: &str) -> Option<String> {
    if !is_dotted_name(module) || !(attribute.is_empty() || is_dotted_name(attribute)) {
        return None;
    }
    if attribute.is_empty() {
        return Some(format!(
            "{shebang}import runpy\nif __name__ == '__main__':\n    \
             runpy.run_module('{module}', run_name='__main__', alter_sys=True)\n"
        ));
    }
    let (first, _) = attribute.split_once('.').unwrap_or((attribute, ""));
    // At module level, so that a pickled callable's module is found again by multiprocessing spawn.
    Some(format!(
        "{shebang}import sys\nfrom {module} import {first}\nif __name__ == '__main__':\n    sys.exit({attribute}())\n"
    ))
}

fn is_dotted_name(text: &str) -> bool {
    let is_name = |part: &str| {
        let starts = part.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
        starts && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    text.split('.').all(is_name)
}

/// Puts the script `real` at `path`: a copy with another first line if it is Python's, else a link.
pub(super) fn raw(real: &Path, path: &Path, shebang: &str) -> Result<(), VenvError> {
    let mut file = File::open(real).map_err(at(real))?;
    let size = file.metadata().map_err(at(real))?.len();
    let mut start = [0; SHEBANG_BYTES_MAX + 1];
    let read = file.read(&mut start).map_err(at(real))?;
    if size > SCRIPT_BYTES_MAX || !is_python_line(&start[..read]) {
        return super::link(path, real);
    }
    let text = fs::read(real).map_err(at(real))?;
    let rest = text.iter().position(|byte| *byte == b'\n').map_or(&[][..], |end| &text[end + 1..]);
    write(path, &[shebang.as_bytes(), rest].concat())
}

/// Whether a file's first line says Python: `#!python`, `#!/usr/bin/env python3`, `#!/usr/bin/pypy3 -E`.
fn is_python_line(start: &[u8]) -> bool {
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(command) = line.strip_prefix(b"#!").and_then(|rest| std::str::from_utf8(rest).ok()) else { return false };
    let names = command.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let mut names = names.skip_while(|name| *name == "env" || name.starts_with('-'));
    names.next().is_some_and(|name| ["python", "pypy"].iter().any(|known| name.starts_with(known)))
}

/// Writes an executable file.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), VenvError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(path);
    file.and_then(|mut file| file.write_all(text)).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_bin_are_refused() {
        for bad in ["", "..", ".", ".hidden", "a/b", "/etc/passwd", "a\nb", "a\0b", &"x".repeat(256)] {
            assert!(!is_script_name(bad), "{bad}");
        }
        for good in ["dagster", "jp.py", "f2py3.11", "weird name", "-x"] {
            assert!(is_script_name(good), "{good}");
        }
    }

    #[test]
    fn a_path_that_the_kernel_cannot_take_goes_through_sh() {
        let long = format!("/{}/python", "d".repeat(130));
        assert!(shebang(Path::new(&long)).expect("a form").starts_with("#!/bin/sh\n"));
        assert!(shebang(Path::new("/with space/python")).expect("a form").starts_with("#!/bin/sh\n"));
        assert_eq!(shebang(Path::new("/v/bin/python")).expect("a form"), "#!/v/bin/python\n");
        assert_eq!(shebang(Path::new("/$(reboot)/python")), None);
    }

    #[test]
    fn an_entry_point_that_is_no_name_gives_no_script() {
        for (module, attribute) in [("", "f"), ("m", "f()"), ("m;import os", "f"), ("m", "a..b"), ("1m", "f")] {
            assert_eq!(console_script("#!p\n", module, attribute), None, "{module}:{attribute}");
        }
        assert!(console_script("#!p\n", "m.n", "App.run").expect("names").contains("from m.n import App\n"));
    }

    #[test]
    fn python_is_recognised_in_a_first_line() {
        for line in [
            "#!python\n",
            "#!/usr/bin/env python3\n",
            "#! /usr/bin/env -S python -u\n",
            "#!/opt/pypy3 -E\nx",
            "#!pythonw",
        ] {
            assert!(is_python_line(line.as_bytes()), "{line}");
        }
        for line in ["#!/bin/sh\n", "python\n", "", "#!/usr/bin/env bash\n# python", "\x7fELF python"] {
            assert!(!is_python_line(line.as_bytes()), "{line}");
        }
    }
}
