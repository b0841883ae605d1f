//! What makes a directory a venv to Python: `pyvenv.cfg`, and links to the base interpreter.

use std::path::{Path, PathBuf};

use crate::interpreter::Interpreter;

/// The text of `pyvenv.cfg`.
pub(super) fn configuration(interpreter: &Interpreter) -> String {
    let home = interpreter.path.parent().unwrap_or(Path::new("/")).display();
    let (major, minor, micro) = interpreter.version;
    format!("home = {home}\ninclude-system-site-packages = false\nversion = {major}.{minor}.{micro}\n")
}

/// Names in `bin/` and what they lead to.
pub(super) fn links(interpreter: &Interpreter) -> Vec<(String, PathBuf)> {
    let (major, minor, _) = interpreter.version;
    let own = |name: String| (name, PathBuf::from("python"));
    let mut links = vec![
        ("python".to_owned(), interpreter.path.clone()),
        own(format!("python{major}")),
        own(format!("python{major}.{minor}")),
    ];
    if interpreter.implementation == "pypy" {
        links.push(own(format!("pypy{major}")));
    }
    links
}
