//! pexvisor: the table of contents. Boot order first, then shutdown order.

mod artifact;
mod code_server;
mod config;
mod control;
mod door;
mod doors;
mod environment;
mod init;
mod metrics;
mod probes;
mod proxy;
mod route;
mod state_dir;
mod telemetry;
mod words;

use std::{env, error::Error, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use pexvisor_sandbox::{
    cgroup::{CgroupError, GroupName, Mounts, Tree},
    stray::Marker,
};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::{
    artifact::{Artifacts, InstallerProgram},
    code_server::Surroundings,
    config::Config,
    doors::Doors,
    environment::{Journal, Registry, World},
    init::{Reaper, Shutdown, reserve},
    metrics::Metrics,
    route::Routes,
    state_dir::StateDir,
    telemetry::Log,
};

/// What makes this executable the installer.
const INSTALL_ARGUMENT: &str = "install";

/// In the environment of every process that runs in one of our boxes; its value starts with the state directory.
const MARK_VARIABLE: &str = "PEXVISOR_SOCKET";

/// Threads of everything but the proxy's data path: nothing on them computes for long.
const WORKER_THREADS: usize = 2;

fn main() -> ExitCode {
    // Before anything else: the stage program and the installer are to become other programs, and quickly.
    let word = env::args_os().nth(1);
    if word.as_ref().is_some_and(|word| word == pexvisor_sandbox::STAGE_ARGUMENT) {
        return pexvisor_sandbox::stage_main();
    }
    if word.as_ref().is_some_and(|word| word == INSTALL_ARGUMENT) {
        return pexvisor_install::main();
    }
    let config = Config::parse();
    let metrics = Metrics::new();
    let form = if config.log_json { telemetry::Form::Json } else { telemetry::Form::Text };
    let log = match Log::start(form, &metrics.limits.counter("log_lines_waiting_max")) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("pexvisor: failed to start a thread for the log: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(supervise(config, metrics, log.clone())),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = &outcome {
        tracing::error!("failed to {}", words::with_causes(&**error));
    }
    log.finish();
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn supervise(config: Config, metrics: Metrics, log: Log) -> Result<(), Box<dyn Error>> {
    config.check()?;
    let open_files_soft = init::raise_open_files();
    let shutdown = Shutdown::on_signals()?;
    let state_dir = StateDir::hold(&config.state_dir)?;
    let reaper = Reaper::start()?;

    // What a killed supervisor left goes before anything of ours is made.
    let tree = Arc::new(tree(&config)?);
    take_over(&tree)?;
    state_dir.clear()?;

    let artifacts =
        Artifacts::start(artifacts(&config)?, reaper.clone(), Arc::clone(&tree), metrics.artifacts.clone())?;
    let routes = Routes::default();
    let world = World {
        state_dir: config.state_dir.clone(),
        image: config.image.clone(),
        artifacts: artifacts.clone(),
        routes: routes.clone(),
        journal: Journal::open(&config.state_dir)?,
        surroundings: Surroundings {
            reaper: reaper.clone(),
            tree: Arc::clone(&tree),
            log,
            open_files_soft,
            health_lost_after: config.health_lost_after(),
        },
        metrics: metrics.clone(),
    };
    let registry = Registry::recover(Arc::new(world))?;
    // Not before every environment holds what it needs.
    artifacts.sweep_later();

    let inside =
        doors::Inside { registry: registry.clone(), artifacts, routes, metrics, reaper, tree: Arc::clone(&tree) };
    let doors = match Doors::open(&config, inside).await {
        Ok(doors) => doors,
        Err(error) => {
            // Nothing may go on behind doors that did not open.
            registry.shut_down().await;
            tree.close()?;
            return Err(error);
        }
    };
    tracing::info!(control = ?config.control_addresses(), proxy = %doors.proxy(), "ready");

    shutdown.requested().await;
    end(&shutdown, &registry, doors, config.shutdown_timeout()).await;
    // All that is left is killed and removed, whatever did not end by itself.
    tree.close()?;
    Ok(state_dir.clear()?)
}

/// Clears what is in the tree, says what holds each resource there, and keeps the supervisor's own share of memory.
fn take_over(tree: &Tree) -> Result<(), CgroupError> {
    let gone = tree.clear_leftovers()?;
    if gone.processes > 0 {
        tracing::warn!(processes = gone.processes, groups = gone.groups, "cleared what a killed supervisor left");
    }
    for held in tree.enforcement() {
        tracing::info!(resource = %held.resource, tier = %held.tier, reason = held.reason, "enforcement");
    }
    match reserve::hold(tree) {
        Ok(bytes) => tracing::info!(bytes, "memory that all environments may take together"),
        Err(error) => tracing::warn!(
            "failed to limit all environments together, so give each a memory limit: {}",
            words::with_causes(&error)
        ),
    }
    Ok(())
}

/// Shutdown order: probes say so, calls drain, code servers end, doors close. Code servers have `bound`, or until it is
/// asked for again.
async fn end(shutdown: &Shutdown, registry: &Registry, doors: Doors, bound: Duration) {
    tracing::info!("shutting down: calls in flight end, then code servers");
    doors.announce_end();
    let graceful = async {
        if timeout(bound, registry.shut_down()).await.is_err() {
            tracing::warn!("not all code servers ended in time; they are killed");
        }
    };
    tokio::select! {
        () = graceful => {}
        () = shutdown.forced() => tracing::warn!("asked twice: code servers are killed"),
    }
    doors.close().await;
}

/// The cgroup tree of this state directory; two supervisors in one container have two.
fn tree(config: &Config) -> Result<Tree, Box<dyn Error>> {
    let state_dir = config.state_dir.to_string_lossy();
    let hash: String = Sha256::digest(state_dir.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let subdirectory: GroupName = format!("pexvisor-{hash}").parse()?;
    let marker = Marker::prefix(MARK_VARIABLE, &format!("{state_dir}/"));
    Ok(Tree::open(&Mounts::discover()?, &subdirectory, marker))
}

fn artifacts(config: &Config) -> Result<artifact::Config, Box<dyn Error>> {
    let state_dir = config.state_dir.to_string_lossy();
    Ok(artifact::Config {
        state_dir: config.state_dir.clone(),
        store: config.store.parse()?,
        cache_bytes_max: config.cache_bytes_max,
        interpreters: config.pythons.clone(),
        installer: InstallerProgram {
            path: "/proc/self/exe".into(),
            args: vec![INSTALL_ARGUMENT.into()],
            mark_variable: MARK_VARIABLE.into(),
            mark_prefix: format!("{state_dir}/"),
        },
    })
}
