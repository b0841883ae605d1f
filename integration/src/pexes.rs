//! The test pexes that `make setup` builds, and a directory store to offer them in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pexvisor_proto::v1::{Artifact, Command, Readiness, RevisionSpec, command::Kind};
use prost_types::Duration;
use sha2::{Digest as _, Sha256};

/// The root of the checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is a folder of the checkout").to_owned()
}

/// The file of a test pex.
pub fn path(name: &str) -> PathBuf {
    let path = checkout().join("target/pexes").join(format!("{name}.pex"));
    assert!(path.is_file(), "{} is missing: run `make setup`", path.display());
    path
}

/// sha256 of bytes, as an artifact is named.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A directory of artifacts, as `--store file:///…` takes it.
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// An empty store in `dir`.
    pub fn new(dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).expect("make the store's folder");
        Self { dir }
    }

    /// The folder of the store.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Offers a test pex under its digest.
    pub fn offer(&self, pex: &str) -> Artifact {
        let from = path(pex);
        let sha256 = digest(&fs::read(&from).expect("read a test pex"));
        let to = self.file_of(&sha256);
        if !to.exists() {
            fs::copy(&from, &to).expect("copy a test pex into the store");
        }
        Artifact { sha256, location: String::new() }
    }

    /// Offers bytes under their digest.
    pub fn offer_bytes(&self, bytes: &[u8]) -> Artifact {
        self.offer_as(&digest(bytes), bytes)
    }

    /// Offers bytes under a digest that may be wrong.
    pub fn offer_as(&self, sha256: &str, bytes: &[u8]) -> Artifact {
        fs::write(self.file_of(sha256), bytes).expect("write into the store");
        Artifact { sha256: sha256.to_owned(), location: String::new() }
    }

    /// Where the artifact of this digest lies.
    pub fn file_of(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}.pex"))
    }

    /// A revision that runs `module` from the tiny dependencies and the source pex named.
    pub fn tiny(&self, source: &str, module: &str) -> RevisionSpec {
        spec(vec![self.offer("tiny-deps"), self.offer(source)], Kind::Module(module.to_owned()))
    }

    /// The echo server of this version (`v1`, `v2` or `v3`), which answers the version as its marker.
    pub fn echo(&self, version: &str) -> RevisionSpec {
        self.tiny(&format!("tiny-{version}"), "tiny_server")
    }

    /// A fixture that misbehaves: pex and module have one name.
    pub fn fixture(&self, name: &str) -> RevisionSpec {
        self.tiny(name, name)
    }
}

/// A revision of these artifacts with every limit at its default.
pub fn spec(artifacts: Vec<Artifact>, kind: Kind) -> RevisionSpec {
    let command = Some(Command { kind: Some(kind), args: Vec::new() });
    RevisionSpec { artifacts, command, ..RevisionSpec::default() }
}

/// The revision with at most `seconds` to become ready.
pub fn ready_within(seconds: i64, spec: RevisionSpec) -> RevisionSpec {
    let start_timeout = Some(Duration { seconds, nanos: 0 });
    RevisionSpec { readiness: Some(Readiness { start_timeout, ..Readiness::default() }), ..spec }
}

/// The revision with one more environment variable.
pub fn with_env(name: &str, value: impl Into<String>, mut spec: RevisionSpec) -> RevisionSpec {
    spec.env.insert(name.to_owned(), value.into());
    spec
}
