//! Opening a file as a pex, and telling what else it is when it is none.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::{Dist, PexError, PexInfo};
use crate::archive::{Archive, EntryReader, ZipError};

/// Where PEX-INFO is in the archive.
const PEX_INFO: &str = "PEX-INFO";

/// Where distributions are.
pub(super) const DEPS: &str = ".deps";

/// pex's own code, a directory in a zipapp and a zip file in a packed pex.
const BOOTSTRAP: &str = ".bootstrap";

/// First bytes of native executables: ELF, and Mach-O in both byte orders, thin and fat.
const NATIVE_MAGICS: [[u8; 4]; 4] =
    [*b"\x7fELF", [0xcf, 0xfa, 0xed, 0xfe], [0xfe, 0xed, 0xfa, 0xcf], [0xca, 0xfe, 0xba, 0xbe]];

/// Top-level entries that are pex's own, not user code; pex leaves out the same.
const NOT_SOURCES: [&str; 8] =
    [BOOTSTRAP, DEPS, PEX_INFO, "PEX-LAYOUT", "__main__.py", "__pex__", "__pycache__", "pex"];

/// An opened pex.
pub(crate) struct Pex {
    pub info: PexInfo,
    pub archive: Archive,
    /// All of them, in PEX-INFO's order; not yet chosen for an interpreter.
    pub dists: Vec<Dist>,
    /// Entries of user code.
    pub sources: Vec<usize>,
}

impl Pex {
    /// Opens the file at `path`. Wheel files that are deflated in it are inflated to nameless files in `spill`.
    pub(crate) fn open(path: &Path, spill: &Path) -> Result<Self, PexError> {
        let archive = open_archive(path)?;
        let mut reader = EntryReader::default();
        let at = archive.find(PEX_INFO).ok_or(PexError::NotAPex)?;
        let bytes = reader.with(&archive, &archive.entries()[at], <[u8]>::to_vec)?;
        let info = PexInfo::parse(&bytes)?;
        if archive.find(BOOTSTRAP).is_some_and(|at| archive.entries()[at].is_file()) {
            return Err(PexError::Packed);
        }
        let dists = Dist::all(&archive, &info, &mut reader, spill)?;
        let sources = sources(&archive);
        Ok(Self { info, archive, dists, sources })
    }
}

fn open_archive(path: &Path) -> Result<Archive, PexError> {
    let failed = |source| PexError::Open { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(PexError::Directory);
    }
    if is_native(file).map_err(failed)? {
        return Err(PexError::Scie);
    }
    Archive::open(path).map_err(|error| match error {
        ZipError::NoDirectory => PexError::NotAZip(error),
        other => PexError::Zip(other),
    })
}

fn is_native(file: File) -> io::Result<bool> {
    let mut magic = Vec::new();
    file.take(4).read_to_end(&mut magic)?;
    Ok(NATIVE_MAGICS.iter().any(|known| known[..] == magic[..]) || magic.starts_with(b"MZ"))
}

fn sources(archive: &Archive) -> Vec<usize> {
    let is_source = |path: &str| {
        let top = path.split('/').next().unwrap_or(path);
        // Byte code that came along is made anew: it may be for another Python, or not be what the source says.
        !NOT_SOURCES.contains(&top) && !path.split('/').any(|part| part == "__pycache__")
    };
    let entries = archive.entries().iter().enumerate();
    entries.filter(|(_, entry)| is_source(&entry.path)).map(|(at, _)| at).collect()
}
