//! An artifact as a user names it: a file here, or a digest that the store has.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use pexvisor_proto::v1;
use sha2::{Digest, Sha256};

use super::FileNames;
use crate::error::Problem;

/// Hex digits of a sha256.
const SHA256_DIGITS: usize = 64;
/// Bytes read at once while hashing: large enough that reading is not felt beside it.
const READ_BYTES: usize = 1 << 20;

/// An artifact on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenArtifact {
    /// A file on this machine.
    File(PathBuf),
    /// A digest, and where the supervisor finds the bytes; empty: in its store.
    Stored { sha256: String, location: String },
}

impl FromStr for GivenArtifact {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (sha256, location) = text.split_once('@').unwrap_or((text, ""));
        let is_digest = sha256.len() == SHA256_DIGITS && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        Ok(match is_digest {
            true => Self::Stored { sha256: sha256.to_ascii_lowercase(), location: location.to_owned() },
            false => Self::File(text.into()),
        })
    }
}

/// Hashes the files and, where a store directory is given, puts them there.
pub fn resolve(given: &[GivenArtifact], store_dir: Option<&Path>) -> Result<(Vec<v1::Artifact>, FileNames), Problem> {
    let mut names = FileNames::new();
    let mut artifacts = Vec::with_capacity(given.len());
    for artifact in given {
        let (sha256, location) = match artifact {
            GivenArtifact::Stored { sha256, location } => (sha256.clone(), location.clone()),
            GivenArtifact::File(path) => {
                let sha256 = hash(path).map_err(file("read", path))?;
                if let Some(dir) = store_dir {
                    store(path, dir, &sha256)?;
                }
                let name = path.file_name().unwrap_or(path.as_os_str());
                names.insert(sha256.clone(), name.to_string_lossy().into_owned());
                (sha256, String::new())
            }
        };
        artifacts.push(v1::Artifact { sha256, location });
    }
    Ok((artifacts, names))
}

fn hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Copies beside and renames, so that a supervisor never sees half a file under its final name.
fn store(path: &Path, dir: &Path, sha256: &str) -> Result<(), Problem> {
    let target = dir.join(format!("{sha256}.pex"));
    let length = fs::metadata(path).map_err(file("read", path))?.len();
    if fs::metadata(&target).is_ok_and(|there| there.len() == length) {
        return Ok(());
    }
    let staged = dir.join(format!(".{sha256}.{}.tmp", std::process::id()));
    let copied = copy(path, &staged).and_then(|()| fs::rename(&staged, &target));
    copied.map_err(|source| {
        drop(fs::remove_file(&staged));
        Problem::File { doing: "copy the artifact to", path: target, source }
    })
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut target = File::create(to)?;
    io::copy(&mut File::open(from)?, &mut target)?;
    target.flush()?;
    target.sync_all()
}

fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Problem {
    let path = path.to_owned();
    move |source| Problem::File { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sha256 of "abc" (FIPS 180-4, example 1).
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn given(text: &str) -> GivenArtifact {
        let Ok(given) = text.parse();
        given
    }

    #[test]
    fn a_digest_may_carry_a_location_and_anything_else_is_a_file() {
        let stored = |location: &str| GivenArtifact::Stored { sha256: ABC.to_owned(), location: location.to_owned() };
        assert_eq!(given(ABC), stored(""));
        assert_eq!(given(&ABC.to_ascii_uppercase()), stored(""));
        assert_eq!(given(&format!("{ABC}@https://host/x?a=b@c")), stored("https://host/x?a=b@c"));
        assert_eq!(given("build/deps.pex"), GivenArtifact::File("build/deps.pex".into()));
        assert_eq!(given("a@b.pex"), GivenArtifact::File("a@b.pex".into()));
    }

    #[test]
    fn a_file_is_hashed_and_put_into_the_store_directory() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (file, store) = (dir.path().join("source.pex"), dir.path().join("store"));
        fs::write(&file, "abc").expect("written");
        fs::create_dir(&store).expect("made");
        for _ in 0..2 {
            let (artifacts, names) = resolve(&[GivenArtifact::File(file.clone())], Some(&store)).expect("stored");
            assert_eq!(artifacts[0].sha256, ABC);
            assert_eq!(names[ABC], "source.pex");
        }
        assert_eq!(fs::read(store.join(format!("{ABC}.pex"))).expect("there"), b"abc");
        assert_eq!(fs::read_dir(&store).expect("listed").count(), 1, "nothing staged is left");
    }

    #[test]
    fn half_a_file_in_the_store_is_replaced() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (file, stored) = (dir.path().join("source.pex"), dir.path().join(format!("{ABC}.pex")));
        fs::write(&file, "abc").expect("written");
        fs::write(&stored, "a").expect("written");
        resolve(&[GivenArtifact::File(file)], Some(dir.path())).expect("stored");
        assert_eq!(fs::read(stored).expect("there"), b"abc");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = resolve(&[given("/no/such.pex")], None).expect_err("there is none").to_string();
        assert!(error.contains("/no/such.pex"), "{error}");
    }
}
