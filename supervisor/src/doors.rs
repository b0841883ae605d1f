//! All doors together: opened in order at the end of boot, closed in order at the beginning of the end.
//!
//! Also keeps one proxy socket open for each environment there is.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime},
};

use pexvisor_sandbox::cgroup::Tree;
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    artifact::Artifacts,
    config::Config,
    control::{About, Control, Origin, OriginOf},
    door::{Address, Listener, SocketMode},
    environment::{Change, Registry},
    init::Reaper,
    metrics::Metrics,
    probes::Probes,
    proxy::{self, Proxy},
    route::Routes,
    words::Health,
};

/// How long the doors may take to close when the code servers have ended: nothing is left to wait for.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What is behind the doors.
pub struct Inside {
    /// The environments.
    pub registry: Registry,
    /// What is on disk.
    pub artifacts: Artifacts,
    /// The proxy's table.
    pub routes: Routes,
    /// Counters.
    pub metrics: Metrics,
    /// Counts orphans.
    pub reaper: Reaper,
    /// Knows whose a process is.
    pub tree: Arc<Tree>,
}

/// The open doors.
pub struct Doors {
    health: watch::Sender<Health>,
    closing: CancellationToken,
    proxy: Arc<Proxy>,
    tasks: Vec<JoinHandle<()>>,
}

impl Doors {
    /// Opens all doors; the control API last, so that who reaches it finds the rest.
    pub async fn open(config: &Config, inside: Inside) -> Result<Self, Box<dyn Error>> {
        let Inside { registry, artifacts, routes, metrics, reaper, tree } = inside;
        let (health, closing) = (watch::Sender::new(Health::NotServing), CancellationToken::new());
        let proxy = proxy::Config { address: config.proxy.clone(), threads: config.proxy_threads };
        let proxy = Arc::new(Proxy::start(&proxy, routes, health.subscribe(), &metrics).await?);
        let environment_doors = follow(registry.clone(), Arc::clone(&proxy));
        let environment_doors = closing.clone().run_until_cancelled_owned(environment_doors);
        let mut tasks = vec![tokio::spawn(async move {
            environment_doors.await;
        })];

        let probes = Probes {
            registry: registry.clone(),
            artifacts: artifacts.clone(),
            metrics: metrics.clone(),
            reaper,
            health: health.subscribe(),
        };
        let listener = Listener::bind(&config.probes, SocketMode::Everyone).await?;
        tasks.push(tokio::spawn(probes.serve(listener, closing.clone())));

        let about = about(config, &proxy, &tree);
        let control = Control { registry, artifacts, about, metrics, origin_of: origin_of(tree) };
        for address in config.control_addresses() {
            let listener = Listener::bind(&address, SocketMode::Owner).await?;
            tasks.push(tokio::spawn(control.clone().serve(listener, closing.clone())));
        }
        health.send_replace(Health::Serving);
        Ok(Self { health, closing, proxy, tasks })
    }

    /// Where the proxy listens, with its real port.
    pub fn proxy(&self) -> &Address {
        self.proxy.local()
    }

    /// Tells probes that the end has come; calls go on.
    pub fn announce_end(&self) {
        self.health.send_replace(Health::NotServing);
    }

    /// Closes all doors.
    pub async fn close(self) {
        self.closing.cancel();
        for task in self.tasks {
            // A door that is slow to close is cut off with the process.
            drop(timeout(CLOSE_TIMEOUT, task).await);
        }
        if let Some(proxy) = Arc::into_inner(self.proxy) {
            proxy.shutdown(CLOSE_TIMEOUT).await;
        }
    }
}

fn about(config: &Config, proxy: &Proxy, tree: &Tree) -> About {
    About {
        started: SystemTime::now(),
        image: config.image.clone(),
        proxy_address: proxy.local().to_string(),
        state_dir: config.state_dir.clone(),
        enforcement: tree.enforcement().into(),
    }
}

/// Opens the proxy's socket of each environment, and closes that of each one removed.
async fn follow(registry: Registry, proxy: Arc<Proxy>) {
    let mut changes = registry.changes();
    let mut open = std::collections::BTreeSet::new();
    while let Some(change) = changes.next().await {
        match change {
            Change::Changed(status) if open.insert(status.name.clone()) => {
                if let Err(error) = proxy.open_environment_door(&status.name, status.socket.as_ref()).await {
                    tracing::error!(environment = %status.name, "failed to {error}");
                    open.remove(&status.name);
                }
            }
            Change::Changed(_) => {}
            Change::Removed(name) => {
                open.remove(&name);
                proxy.close_environment_door(&name);
            }
        }
    }
}

fn origin_of(tree: Arc<Tree>) -> OriginOf {
    Arc::new(move |pid| match tree.leaves_hold(pid) {
        Ok(true) => Origin::Boxed,
        Ok(false) => Origin::Elsewhere,
        Err(_) => Origin::Gone,
    })
}
