//! The pexes that both servers get: the same bytes, linked into each one's folder under the name that it wants.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// The end of a zip without a comment: the record's signature, 16 bytes about the directory, and a length of 0.
const END_RECORD_BYTES: usize = 22;
const END_SIGNATURE: &[u8] = b"PK\x05\x06";

/// One pex file and the digest of its bytes.
#[derive(Clone, Debug)]
pub struct Pex {
    path: PathBuf,
    pub sha256: String,
}

/// What one deploy ships.
#[derive(Clone, Debug)]
pub struct Pair {
    pub deps: Pex,
    pub source: Pex,
    /// The package that holds the definitions.
    pub package: &'static str,
    /// Appears in answers of this source and of no other; the echo server has none.
    pub marker: Option<String>,
}

/// Why a pex cannot be made ready; completes "failed to".
#[derive(Debug, thiserror::Error)]
pub enum PexError {
    #[error("use {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("salt {0}: it does not end like a zip without a comment")]
    NotPlainZip(PathBuf),
}

impl Pex {
    /// An existing file.
    pub fn at(path: PathBuf) -> Result<Self, PexError> {
        let bytes = read(&path)?;
        Ok(Self { sha256: hex(&bytes), path })
    }

    /// A copy with bytes never seen before and the same contents: the zip's comment, which no reader of pexes looks
    /// at, holds the salt. It is on disk when this returns, so that no server pays for writing it.
    pub fn salted(&self, path: PathBuf, salt: &str) -> Result<Self, PexError> {
        let bytes = with_comment(read(&self.path)?, salt).ok_or_else(|| PexError::NotPlainZip(self.path.clone()))?;
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        written.map_err(|source| PexError::Io { path: path.clone(), source })?;
        Ok(Self { sha256: hex(&bytes), path })
    }

    /// Makes the file appear in a server's folder. No copy: the name is all that differs.
    pub fn link_into(&self, folder: &Path, name: &str) -> Result<(), PexError> {
        let link = folder.join(name);
        if link.exists() {
            return Ok(());
        }
        fs::hard_link(&self.path, &link).map_err(|source| PexError::Io { path: link, source })
    }
}

impl Pair {
    /// The echo server in place of Dagster.
    pub fn echo(folder: &Path) -> Result<Self, PexError> {
        let deps = Pex::at(folder.join("echo-deps.pex"))?;
        let source = Pex::at(folder.join("echo-source.pex"))?;
        Ok(Self { deps, source, package: "echo_source", marker: None })
    }

    /// The example project in the version `bench-<number>`.
    pub fn orders(deps: &Pex, folder: &Path, number: usize) -> Result<Self, PexError> {
        let source = Pex::at(folder.join(format!("sources/source-{number}.pex")))?;
        // The closing quote keeps bench-1 apart from bench-12.
        Ok(Self { deps: deps.clone(), source, package: "orders", marker: Some(format!("bench-{number}\"")) })
    }
}

fn with_comment(mut bytes: Vec<u8>, comment: &str) -> Option<Vec<u8>> {
    let end = bytes.len().checked_sub(END_RECORD_BYTES)?;
    let length = u16::try_from(comment.len()).ok()?;
    if !bytes[end..].starts_with(END_SIGNATURE) {
        return None;
    }
    let length_at = bytes.len() - 2;
    bytes[length_at..].copy_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(comment.as_bytes());
    Some(bytes)
}

fn read(path: &Path) -> Result<Vec<u8>, PexError> {
    fs::read(path).map_err(|source| PexError::Io { path: path.to_owned(), source })
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salted_zip_differs_only_in_its_comment() {
        let mut zip = END_SIGNATURE.to_vec();
        zip.resize(END_RECORD_BYTES, 0);
        let salted = with_comment(zip.clone(), "salt").unwrap();
        assert_eq!(&salted[..20], &zip[..20]);
        assert_eq!(&salted[20..], b"\x04\0salt");
    }

    #[test]
    fn what_is_no_plain_zip_is_not_salted() {
        assert!(with_comment(b"not a zip, though long enough".to_vec(), "salt").is_none());
        assert!(with_comment(Vec::new(), "salt").is_none());
    }
}
