//! A pex file: what it is, what it says of itself, which wheels it holds, and which of them an interpreter takes.
//!
//! It writes nothing.

mod constraint;
mod dist;
mod info;
mod kind;
mod resolve;
mod wheel_name;

use std::path::PathBuf;

use crate::archive::ZipError;

pub(crate) use dist::{Dist, Placed, Scheme, sort_key};
pub use info::PexInfo;
pub(crate) use kind::Pex;
pub(crate) use resolve::resolve;
pub(crate) use wheel_name::normalized;

/// A file cannot be installed as a pex. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PexError {
    #[error("open {path:?}")]
    Open { path: PathBuf, source: std::io::Error },
    #[error("install a directory: build the pex without `--layout packed` or `--layout loose`, as one zip file")]
    Directory,
    #[error(
        "install a scie (a native launcher with a pex behind it): build without `--scie`, or upload the .pex beside it"
    )]
    Scie,
    #[error("install it: it is not a zip file (or a truncated one); upload the file that `pex -o NAME.pex` wrote")]
    NotAZip(#[source] ZipError),
    #[error("install it: it is a zip file without PEX-INFO, so no pex; build it with `pex -o NAME.pex`")]
    NotAPex,
    #[error("install a packed pex that was zipped by hand: build the pex without `--layout packed`")]
    Packed,
    #[error("unpack it; rebuild or upload it again")]
    Zip(#[from] ZipError),
    #[error("read its PEX-INFO; rebuild it with `pex`")]
    Info(#[source] serde_json::Error),
    #[error("read its PEX-INFO: {problem}; rebuild it with `pex`")]
    InfoValue { problem: String },
    #[error("find distribution {name} that PEX-INFO lists; rebuild the pex")]
    MissingDistribution { name: String },
    #[error("read distribution {name}: {problem}; rebuild the pex")]
    Distribution { name: String, problem: String },
    #[error("read wheel file {name} in it; rebuild the pex")]
    Wheel { name: String, source: ZipError },
}
