//! What every environment stands on: the parts of the supervisor that its task works with.

use std::path::PathBuf;

use super::journal::Journal;
use crate::{artifact::Artifacts, code_server::Surroundings, metrics::Metrics, route::Routes, words::EnvironmentName};

/// What every environment stands on. One for the whole supervisor.
pub struct World {
    /// Under which everything lives.
    pub state_dir: PathBuf,
    /// Identity of the container image, kept in every revision.
    pub image: String,
    /// Fetch, install, compose.
    pub artifacts: Artifacts,
    /// The proxy's table.
    pub routes: Routes,
    /// What survives.
    pub journal: Journal,
    /// What code servers are started with.
    pub surroundings: Surroundings,
    /// Counters.
    pub metrics: Metrics,
}

impl World {
    /// The unix socket on which the proxy serves one environment.
    pub fn door(&self, name: &EnvironmentName) -> PathBuf {
        self.state_dir.join("doors").join(format!("{}.sock", name.short_hash()))
    }
}
