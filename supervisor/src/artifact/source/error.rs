//! What can go wrong between a store and the disk, each with what to do next.
//!
//! Whether the bytes are the right ones is not asked here.

use std::{io, time::Duration};

/// Why the bytes of an artifact did not come. `at` is the place, without the secrets of a presigned URL.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// 404, or no such file.
    #[error("find {at}: the store has no such object{}; push the artifact, or correct its name or the store", told(*status))]
    NotFound { at: String, status: Option<u16> },
    /// 401, 403, or EACCES.
    #[error("read {at}: access denied{}; check the credentials, the policy, or the expiry of a presigned URL", told(*status))]
    Forbidden { at: String, status: Option<u16> },
    /// No credentials anywhere the SDK looks.
    #[error(
        "read {at}: no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the container a role"
    )]
    NoCredentials { at: String },
    /// 503 or 429, again and again.
    #[error("read {at}: the store asks to slow down (status {status}); deploy again in a minute")]
    SlowDown { at: String, status: u16 },
    /// 5xx, again and again.
    #[error("read {at}: the store failed with status {status} each time; look at its health and deploy again")]
    ServerError { at: String, status: u16 },
    /// Another status that no request of ours should get.
    #[error("read {at}: the store answered with status {status}; check the store's address and the object's name")]
    Unexpected { at: String, status: u16 },
    /// No connection, or one that broke before the answer.
    #[error("reach {at} ({cause}); check the store's address, DNS and the network, and deploy again")]
    Unreachable { at: String, cause: String },
    /// No byte, or next to none, for too long.
    #[error("read {at}: no data for {} s; check the network to the store and deploy again", pause.as_secs())]
    Stalled { at: String, pause: Duration },
    /// The body ended before its announced end, again and again.
    #[error("read {at}: the transfer broke off after {got} of {total} bytes; push the artifact again if this repeats")]
    Truncated { at: String, got: u64, total: u64 },
    /// The ETag changed between two ranges.
    #[error("read {at}: the object was replaced while it was being read; deploy again")]
    Changed { at: String },
    /// A redirect that leads in circles, to plain http, or nowhere.
    #[error("read {at}: {why}; give the final URL of the artifact")]
    Redirect { at: String, why: &'static str },
    /// A directory, a socket, a device.
    #[error("read {at}: it is no regular file; a packed or loose pex is a directory, build with `--layout zipapp`")]
    NotAFile { at: String },
    /// Larger than the whole cache may be.
    #[error("store the artifact: it is larger than the whole cache may be; raise --cache-bytes-max")]
    TooLarge,
    /// ENOSPC or EDQUOT.
    #[error("write the artifact to disk: no space left; free some, or lower --cache-bytes-max")]
    DiskFull,
    /// Any other error of the disk.
    #[error("write the artifact to disk")]
    Disk(#[source] io::Error),
    /// Any other error of the directory store.
    #[error("read {at}")]
    Unreadable { at: String, source: io::Error },
}

impl SourceError {
    /// Whether the same request may well succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::SlowDown { .. }
            | Self::ServerError { .. }
            | Self::Unreachable { .. }
            | Self::Stalled { .. }
            | Self::Truncated { .. } => true,
            Self::NotFound { .. }
            | Self::Forbidden { .. }
            | Self::NoCredentials { .. }
            | Self::TooLarge
            | Self::Unexpected { .. }
            | Self::Changed { .. }
            | Self::Redirect { .. }
            | Self::NotAFile { .. }
            | Self::DiskFull
            | Self::Disk(_)
            | Self::Unreadable { .. } => false,
        }
    }

    /// The same after so many bytes have come (of 0 if the store did not tell): what breaks then is a transfer.
    pub fn after(self, got: u64, total: u64) -> Self {
        match self {
            Self::Unreachable { at, .. } if got > 0 => Self::Truncated { at, got, total },
            other => other,
        }
    }

    /// The error that this status of an HTTP store stands for; `None` if it is no error.
    pub fn from_status(status: u16, at: &str) -> Option<Self> {
        let at = at.to_owned();
        match status {
            200..=299 => None,
            401 | 403 => Some(Self::Forbidden { at, status: Some(status) }),
            404 | 410 => Some(Self::NotFound { at, status: Some(status) }),
            412 => Some(Self::Changed { at }),
            // The first range of an empty object cannot be satisfied.
            416 => Some(Self::Truncated { at, got: 0, total: 0 }),
            429 | 503 => Some(Self::SlowDown { at, status }),
            500..=599 => Some(Self::ServerError { at, status }),
            _ => Some(Self::Unexpected { at, status }),
        }
    }
}

/// The status of a store that has one.
fn told(status: Option<u16>) -> String {
    status.map_or_else(String::new, |status| format!(" (status {status})"))
}

impl From<io::Error> for SourceError {
    /// An error of the disk that the artifact is written to.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            io::ErrorKind::FileTooLarge => Self::TooLarge,
            _ => Self::Disk(error),
        }
    }
}
