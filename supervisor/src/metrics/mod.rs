//! What the supervisor counts, under stable names: the text that `/metrics` answers.
//!
//! Counting only: nothing here decides, waits or does IO, except for the figures of the process, read when asked for.
//! Every layer above the words may count. A label's values are bounded: environments that exist, or fixed words; never
//! what a client sent.
//!
//! | name | labels | what it is |
//! |---|---|---|
//! | `pexvisor_environments` | `phase` | environments in each phase |
//! | `pexvisor_generations_started_total` | `environment` | code servers started |
//! | `pexvisor_generations_ended_total` | `environment`, `reason` | code servers ended |
//! | `pexvisor_restarts_total` | `environment` | restarts after a death, not those asked for |
//! | `pexvisor_log_lines_lost_total` | `environment` | output lines dropped to keep within the bound of what Logs has |
//! | `pexvisor_deploys_total` | `outcome` | deploys, restarts and rollbacks that reached their end |
//! | `pexvisor_deploy_failures_total` | `reason` | the failed ones by the wire's failure reason |
//! | `pexvisor_deploy_step_seconds` | `step` | how long each step of a deploy that got ready took |
//! | `pexvisor_calls_total` | `environment` | calls passed on by the proxy |
//! | `pexvisor_calls_in_flight` | `environment` | those that go on now |
//! | `pexvisor_calls_refused_total` | `reason` | calls that the proxy answered itself |
//! | `pexvisor_fetches_total` | `outcome` | artifacts asked of a store |
//! | `pexvisor_fetch_bytes_total` | | bytes that came from stores |
//! | `pexvisor_cache_bytes`, `pexvisor_cache_quota_bytes` | | artifacts and installs on disk, and their bound |
//! | `pexvisor_cache_swept_bytes_total` | | bytes deleted to stay within the quota |
//! | `pexvisor_orphans_reaped_total` | | exited processes that nobody had waited for |
//! | `pexvisor_control_peers_refused_total` | | connections to the control API from inside an environment or an installer |
//! | `pexvisor_limit_reached_total` | `limit` | how often each named limit was reached |
//! | `process_resident_memory_bytes`, `process_open_fds`, `process_cpu_seconds_total` | | of the supervisor itself |

mod artifacts;
mod calls;
mod deploys;
mod environments;
mod labels;
mod limits;
mod process;

use std::sync::Arc;

use prometheus_client::{
    encoding::text,
    metrics::counter::Counter,
    registry::{Metric, Registry},
};

pub use artifacts::{ArtifactMetrics, FetchOutcome};
pub use calls::CallMetrics;
pub use deploys::DeployMetrics;
pub use environments::{EnvironmentMetrics, GenerationEnd};
pub use limits::LimitMetrics;

use crate::words::{EnvironmentName, EnvironmentStatus};

/// Every counter of the supervisor. A clone counts into the same place.
#[derive(Clone)]
pub struct Metrics {
    /// Environments and their generations.
    pub environments: EnvironmentMetrics,
    /// Deploys and how long their steps take.
    pub deploys: DeployMetrics,
    /// What the proxy passes on and refuses.
    pub calls: CallMetrics,
    /// Fetches and the disk they fill.
    pub artifacts: ArtifactMetrics,
    /// Named limits that were reached.
    pub limits: LimitMetrics,
    /// Exited processes that nobody had waited for.
    pub orphans_reaped: Counter,
    /// Connections to the control API that came from inside an environment.
    pub control_peers_refused: Counter,
    registry: Arc<Registry>,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut ours = Registry::with_prefix("pexvisor");
        let orphans = "Exited processes that nobody had waited for";
        let refused = "Connections to the control API from inside an environment";
        let limits = LimitMetrics::register(&mut ours);
        Self {
            environments: EnvironmentMetrics::register(&mut ours),
            deploys: DeployMetrics::register(&mut ours),
            calls: CallMetrics::register(&mut ours),
            artifacts: ArtifactMetrics::register(&mut ours, &limits),
            limits,
            orphans_reaped: registered(&mut ours, "orphans_reaped", orphans),
            control_peers_refused: registered(&mut ours, "control_peers_refused", refused),
            registry: Arc::new(ours),
        }
    }

    /// All of it in the OpenMetrics text format, with the gauges that follow from `environments` brought up to date.
    pub fn text(&self, environments: &[EnvironmentStatus]) -> String {
        self.environments.observe(environments);
        self.calls.observe(environments);
        let mut text = String::new();
        text::encode_registry(&mut text, &self.registry).expect("a String takes every write");
        text::encode_registry(&mut text, &process::registry()).expect("a String takes every write");
        text::encode_eof(&mut text).expect("a String takes every write");
        text
    }

    /// Drops what is counted under the name of an environment that was removed, so that labels stay bounded.
    pub fn forget(&self, environment: &EnvironmentName) {
        self.environments.forget(environment);
        self.calls.forget(environment);
    }
}

/// A new metric, put into the registry.
fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{FailureReason, samples};

    fn name(text: &str) -> EnvironmentName {
        text.parse().expect("a good name")
    }

    #[test]
    fn every_metric_of_the_table_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.environments.started(&name("etl"));
        metrics.environments.ended(&name("etl"), GenerationEnd::OutOfMemory);
        metrics.environments.restarted(&name("etl"));
        metrics.environments.lines_lost(&name("etl")).inc_by(3);
        metrics.deploys.failed(FailureReason::StartTimeout);
        metrics.calls.passed(&name("etl")).inc();
        metrics.calls.refused("no_route");
        metrics.artifacts.fetch_ended(FetchOutcome::Fetched);
        metrics.limits.counter("uploads").inc();
        let text = metrics.text(&[samples::serving("etl")]);
        let table = include_str!("mod.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
        let names: Vec<_> = table.map(|row| row.split_once(" | ").expect("a row has columns").0).collect();
        assert!(names.len() > 10, "the table is read from this file");
        for metric in names.iter().flat_map(|cell| cell.split(", ")).map(|cell| cell.trim_matches('`')) {
            assert!(text.contains(metric), "{metric} is missing in\n{text}");
        }
        assert!(text.contains("pexvisor_calls_in_flight{environment=\"etl\"} 2"), "{text}");
        assert!(text.contains("pexvisor_environments{phase=\"serving\"} 1"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn a_removed_environment_leaves_no_label_behind() {
        let metrics = Metrics::new();
        for end in GenerationEnd::ALL {
            metrics.environments.ended(&name("etl"), end);
        }
        metrics.environments.started(&name("etl"));
        metrics.environments.restarted(&name("etl"));
        metrics.environments.lines_lost(&name("etl")).inc_by(3);
        metrics.calls.passed(&name("etl")).inc();
        assert!(metrics.text(&[]).contains("environment=\"etl\""));
        metrics.forget(&name("etl"));
        assert!(!metrics.text(&[]).contains("etl"), "{}", metrics.text(&[]));
    }
}
