//! The flags of `pexvisor`, each also an environment variable, and what follows from them.

use std::{num::NonZero, path::PathBuf, time::Duration};

use clap::Parser;

use crate::door::{Address, SOCKET_PATH_BYTES_MAX};

/// Keeps a container warm and swaps Python code into it.
#[derive(Clone, Debug, Parser)]
#[command(name = "pexvisor", version, after_help = AFTER_HELP)]
pub struct Config {
    /// Where everything is kept that must survive a restart, and everything that is cached.
    #[arg(long, env = "PEXVISOR_STATE_DIR", default_value = "/var/lib/pexvisor", value_name = "DIR")]
    pub state_dir: PathBuf,

    /// Where artifacts come from: file:///dir, or s3://bucket/prefix with the usual AWS variables.
    #[arg(long, env = "PEXVISOR_STORE", default_value = "file:///var/lib/pexvisor/store", value_name = "URL")]
    pub store: String,

    /// Where the control API listens, once or more [default: unix:STATE_DIR/control/control.sock]
    #[arg(long, env = "PEXVISOR_CONTROL", value_delimiter = ',', value_name = "ADDRESS")]
    pub control: Vec<Address>,

    /// Where gRPC calls to the environments come in.
    #[arg(long, env = "PEXVISOR_PROXY", default_value = "0.0.0.0:4266", value_name = "ADDRESS")]
    pub proxy: Address,

    /// Where /livez, /readyz and /metrics are answered.
    #[arg(long, env = "PEXVISOR_PROBES", default_value = "0.0.0.0:4267", value_name = "ADDRESS")]
    pub probes: Address,

    /// Identity of the container image; kept in every revision, so that a deploy can be repeated exactly.
    #[arg(long, env = "PEXVISOR_IMAGE", default_value = "", value_name = "NAME")]
    pub image: String,

    /// Serve the control API over plain TCP: whoever reaches the port can run code here.
    #[arg(long, env = "PEXVISOR_INSECURE_CONTROL")]
    pub insecure_control: bool,

    /// A Python to offer to artifacts, instead of those found on PATH and in the usual places. May be repeated.
    #[arg(long = "python", env = "PEXVISOR_PYTHON", value_delimiter = ':', value_name = "PATH")]
    pub pythons: Vec<PathBuf>,

    /// Disk for artifacts, wheels and installs; the least recently used go first [default: half the disk, at most 20 GiB]
    #[arg(long, env = "PEXVISOR_CACHE_BYTES_MAX", value_name = "BYTES")]
    pub cache_bytes_max: Option<u64>,

    /// The longest that a shutdown waits for calls in flight and code servers, in seconds.
    #[arg(long, env = "PEXVISOR_SHUTDOWN_SECONDS", default_value_t = 25, value_name = "SECONDS")]
    pub shutdown_seconds: u64,

    /// A serving code server that answers no health check for this long is killed and started again; 0: never.
    #[arg(long, env = "PEXVISOR_HEALTH_LOST_SECONDS", default_value_t = 60, value_name = "SECONDS")]
    pub health_lost_seconds: u64,

    /// Threads that carry calls [default: by the machine's size]
    #[arg(long, env = "PEXVISOR_PROXY_THREADS", value_name = "COUNT")]
    pub proxy_threads: Option<NonZero<usize>>,

    /// One JSON object a line instead of text.
    #[arg(long, env = "PEXVISOR_LOG_JSON")]
    pub log_json: bool,
}

const AFTER_HELP: &str = "\
An ADDRESS is host:port or unix:/path.

Environment: PEXVISOR_LOG sets the log filter (default: info). SIGTERM drains and stops, a second one stops at once.
Exit codes: 0 stopped as asked, 1 could not start, 2 wrong flags.";

/// The flags given make no sense together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadConfig {
    /// TCP for control without saying that it is wanted.
    #[error(
        "the control API has no authentication over TCP yet: whoever reaches {address} could run code here; \
         use --control unix:/path, or accept it with --insecure-control"
    )]
    ControlOverTcp { address: Address },
    /// Sockets below it would not fit into an address.
    #[error(
        "--state-dir {path} is too long by {over} bytes for the sockets below it (unix(7)); \
         choose a shorter path"
    )]
    StateDirTooLong { path: String, over: usize },
    /// It becomes part of texts and of other programs' arguments.
    #[error("--state-dir must be an absolute path in UTF-8")]
    StateDirUnusable,
}

/// The longest path below the state directory: `/run/<8 hex>/<20 digits>/s.sock`.
const SOCKET_BELOW_BYTES_MAX: usize = "/run/".len() + 8 + 1 + 20 + "/s.sock".len();

impl Config {
    /// Checks what the flags mean together.
    pub fn check(&self) -> Result<(), BadConfig> {
        let path = self.state_dir.to_str().filter(|_| self.state_dir.is_absolute());
        let path = path.ok_or(BadConfig::StateDirUnusable)?;
        let over = (path.len() + SOCKET_BELOW_BYTES_MAX).saturating_sub(SOCKET_PATH_BYTES_MAX);
        if over > 0 {
            return Err(BadConfig::StateDirTooLong { path: path.to_owned(), over });
        }
        let over_tcp = self.control_addresses().into_iter().find(|address| matches!(address, Address::Tcp { .. }));
        match over_tcp.filter(|_| !self.insecure_control) {
            Some(address) => Err(BadConfig::ControlOverTcp { address }),
            None => Ok(()),
        }
    }

    /// Where the control API listens.
    pub fn control_addresses(&self) -> Vec<Address> {
        if self.control.is_empty() {
            return vec![Address::Unix(self.state_dir.join("control/control.sock"))];
        }
        self.control.clone()
    }

    /// How long a serving code server may answer nothing.
    pub fn health_lost_after(&self) -> Option<Duration> {
        (self.health_lost_seconds > 0).then(|| Duration::from_secs(self.health_lost_seconds))
    }

    /// The longest that a shutdown may take.
    pub fn shutdown_timeout(&self) -> Duration {
        Duration::from_secs(self.shutdown_seconds)
    }
}
