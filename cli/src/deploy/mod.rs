//! From the command line to a DeployRequest.

mod artifact;
mod order;

pub use artifact::{GivenArtifact, resolve};
pub use order::{GivenVariable, order};

use std::collections::BTreeMap;

/// What to call each artifact in front of people: the file that it came from, by its sha256.
pub type FileNames = BTreeMap<String, String>;
