//! Where the bytes of an artifact come from: a directory, S3, or an http(s) server. One file each.
//!
//! A source fills a [`Staging`] file. It does not ask whether the bytes are the right ones.

mod directory;
mod error;
#[cfg(test)]
mod fault_server;
mod http;
mod ranged;
mod retry;
mod s3;
#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf};

pub use error::SourceError;
pub use retry::Patience;

use super::staging::Staging;

/// Where one artifact is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file of this machine.
    File(PathBuf),
    /// An object in a bucket.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The object's key.
        key: String,
    },
    /// An `http://` or `https://` URL.
    Http(::http::Uri),
}

/// The clients that reach them; each is made when it is first needed, so that the start of the supervisor waits for
/// none.
pub struct Sources {
    s3: s3::S3,
    http: http::Http,
}

impl Sources {
    /// Clients that take their settings from the environment.
    pub fn from_environment(patience: Patience) -> Self {
        Self { s3: s3::S3::from_environment(patience), http: http::Http::new(patience) }
    }

    /// Brings all bytes of the artifact into the file.
    ///
    /// # Errors
    /// After the retries that the kind of failure deserves.
    pub async fn fill(&self, location: &Location, staging: &Staging) -> Result<(), SourceError> {
        match location {
            Location::File(path) => directory::fill(path, staging).await,
            Location::S3 { bucket, key } => {
                let object = self.s3.object(bucket, key).await;
                Box::pin(ranged::fill(&object, staging)).await
            }
            Location::Http(url) => {
                let object = self.http.object(url);
                Box::pin(ranged::fill(&object, staging)).await
            }
        }
    }
}

impl fmt::Display for Location {
    /// For messages: without the query and the user of a URL, which may be secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(out, "{}", path.display()),
            Self::S3 { bucket, key } => write!(out, "s3://{bucket}/{key}"),
            Self::Http(url) => {
                let authority = url.authority().map_or("", |authority| authority.as_str());
                let host = authority.rsplit('@').next().unwrap_or(authority);
                write!(out, "{}://{host}{}", url.scheme_str().unwrap_or("http"), url.path())
            }
        }
    }
}
