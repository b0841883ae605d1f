//! The store named by `--store`, and where in it (or elsewhere) one artifact is.
//!
//! Parsing only: nothing is opened here.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use super::source::Location;
use crate::words::{ArtifactRef, ArtifactSource};

/// Longest name of an artifact in a store, in bytes: S3's limit for a key.
const NAME_BYTES_MAX: usize = 1024;
/// Longest URL in bytes: a presigned one has under 2,000, and everything on the way accepts 8,000 (RFC 9110, 4.1).
const URL_BYTES_MAX: usize = 8000;

/// Where artifacts come from when a request does not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// `file:///dir`.
    Directory(PathBuf),
    /// `s3://bucket/prefix`.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// What every key starts with: empty, or ends with `/`.
        prefix: String,
    },
}

/// The text given is no store.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadStore {
    /// Another scheme, or none.
    #[error("use file:///dir or s3://bucket/prefix as the store; {0:?} is neither")]
    Unsupported(String),
    /// `file:` without an absolute path.
    #[error("give the store's directory as an absolute path (file:///var/lib/pexes); got {0:?}")]
    NotAbsolute(String),
    /// `s3:` without a bucket.
    #[error("name a bucket in the store (s3://bucket/prefix); got {0:?}")]
    NoBucket(String),
}

/// The place given for an artifact is none that may be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadLocation {
    /// Absolute, with `..`, empty, or with bytes that no name has.
    #[error("use a relative name without `..` for an artifact in the store; got {0:?}")]
    Name(String),
    /// Not http or https.
    #[error("use an http:// or https:// URL for an artifact outside of the store; got {0:?}")]
    Url(String),
}

impl FromStr for Store {
    type Err = BadStore;

    fn from_str(text: &str) -> Result<Self, BadStore> {
        if let Some(path) = text.strip_prefix("file://") {
            let absolute = path.starts_with('/') && !path.contains('\0');
            return absolute.then(|| Self::Directory(path.into())).ok_or_else(|| BadStore::NotAbsolute(text.into()));
        }
        let Some(rest) = text.strip_prefix("s3://") else { return Err(BadStore::Unsupported(text.into())) };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(BadStore::NoBucket(text.into()));
        }
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self::S3 { bucket: bucket.into(), prefix })
    }
}

impl fmt::Display for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(out, "file://{}", path.display()),
            Self::S3 { bucket, prefix } => write!(out, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Store {
    /// Where this artifact is.
    ///
    /// # Errors
    /// A name that leaves the store, or a URL of another scheme.
    pub fn locate(&self, artifact: &ArtifactRef) -> Result<Location, BadLocation> {
        match &artifact.source {
            ArtifactSource::Store => Ok(self.named(&format!("{}.pex", artifact.digest))),
            ArtifactSource::Named(name) if is_inside(name) => Ok(self.named(name)),
            ArtifactSource::Named(name) => Err(BadLocation::Name(shown(name))),
            ArtifactSource::Url(url) => http_url(url).ok_or_else(|| BadLocation::Url(shown(url))),
        }
    }

    fn named(&self, name: &str) -> Location {
        match self {
            Self::Directory(directory) => Location::File(directory.join(name)),
            Self::S3 { bucket, prefix } => Location::S3 { bucket: bucket.clone(), key: format!("{prefix}{name}") },
        }
    }
}

fn is_inside(name: &str) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    // `components` drops `./` in the middle and doubled slashes; S3 would take them literally.
    let clean = !name.contains("//") && !name.ends_with('/') && name.split('/').all(|part| part != ".");
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && clean
        && !name.chars().any(char::is_control)
        && Path::new(name).components().all(plain)
}

fn http_url(text: &str) -> Option<Location> {
    let url: http::Uri = text.parse().ok().filter(|_| text.len() <= URL_BYTES_MAX)?;
    let known = matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty());
    known.then_some(Location::Http(url))
}

/// Enough of a bad name to recognise it.
fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(text: &str) -> Store {
        text.parse().expect("a good store")
    }

    fn artifact(source: ArtifactSource) -> ArtifactRef {
        ArtifactRef { digest: "ab".repeat(32).parse().expect("a digest"), source }
    }

    #[test]
    fn a_store_is_a_directory_or_a_bucket() {
        assert_eq!(store("file:///srv/pexes"), Store::Directory("/srv/pexes".into()));
        let s3 = |prefix: &str| Store::S3 { bucket: "b".into(), prefix: prefix.into() };
        assert_eq!(store("s3://b"), s3(""));
        assert_eq!(store("s3://b/"), s3(""));
        assert_eq!(store("s3://b/a/c/"), s3("a/c/"));
        for bad in ["", "/srv", "file://srv", "s3://", "s3:///x", "gs://b/x", "https://x/y"] {
            assert!(bad.parse::<Store>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_artifact_is_found_by_digest_name_or_url() {
        let digest = "ab".repeat(32);
        let by_digest = store("s3://b/p").locate(&artifact(ArtifactSource::Store));
        assert_eq!(by_digest, Ok(Location::S3 { bucket: "b".into(), key: format!("p/{digest}.pex") }));
        let by_name = store("file:///d").locate(&artifact(ArtifactSource::Named("x/deps-1.pex".into())));
        assert_eq!(by_name, Ok(Location::File("/d/x/deps-1.pex".into())));
        let by_url = store("file:///d").locate(&artifact(ArtifactSource::Url("https://h/x?sig=1".into())));
        assert!(matches!(by_url, Ok(Location::Http(url)) if url == "https://h/x?sig=1"));
    }

    #[test]
    fn no_name_leaves_the_store() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for bad in ["", "/etc/passwd", "..", "../x", "a/../x", "./x", "a/./x", "a//x", "a/", "a\0b", "a\nb", &long] {
            let located = store("file:///d").locate(&artifact(ArtifactSource::Named(bad.into())));
            assert!(matches!(located, Err(BadLocation::Name(_))), "{bad:?}: {located:?}");
        }
        for bad in ["", "ftp://h/x", "file:///etc/passwd", "/x", "https://", "s3://b/x"] {
            let located = store("file:///d").locate(&artifact(ArtifactSource::Url(bad.into())));
            assert!(matches!(located, Err(BadLocation::Url(_))), "{bad:?}: {located:?}");
        }
    }
}
