//! Step: the working directory, judged by the program's own rights.

use std::{io, path::Path};

pub(super) fn enter(path: &Path) -> io::Result<()> {
    std::env::set_current_dir(path)
}
