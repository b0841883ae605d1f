//! The peer: PyPI `dagster-cloud`'s multipex server, driven with the requests that its own client makes.

use std::{
    collections::HashSet,
    env, fs,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use serde::Deserialize;

use crate::{
    address::{Address, Target, free_loopback},
    call::{CallError, Connection},
    contender::{Contender, DOOR_RETRY, Failure, Ground, LOCATION, PATIENCE, code_server_environment, venv_bin},
    load::Text,
    pexes::{Pair, Pex},
    process::Server,
    results::Side,
};

const CREATE: &str = "/multi_pex_api.MultiPexApi/CreatePexServer";
const SHUTDOWN: &str = "/multi_pex_api.MultiPexApi/ShutdownPexServer";
const PING: &str = "/multi_pex_api.MultiPexApi/Ping";

/// The timestamp in the words that `peer_words.py` prints.
const TIMESTAMP_PLACEHOLDER: &str = "1111111111111";

/// Its code servers' sockets lie directly under `/`: grpc-python sends their path as `:authority`, and a native backend
/// refuses one with a slash in it.
const SOCKETS: &str = "/";

pub struct Peer {
    server: Server,
    door: Target,
    ready: Duration,
    words: Words,
    pexes: PathBuf,
    serving: Option<String>,
    replaced: Option<String>,
    foreign_sockets: HashSet<PathBuf>,
}

/// Its requests, with placeholders.
#[derive(Deserialize)]
struct Words {
    create: String,
    shutdown: String,
}

impl Contender for Peer {
    const SIDE: Side = Side::Peer;
    const NAME: &'static str = "peer";

    async fn start(ground: &Ground) -> Result<Self, Failure> {
        let words = serde_json::from_str(&fs::read_to_string(ground.folder.join("peer-words.json"))?)?;
        let (home, address, foreign_sockets) = (ground.fresh(Self::NAME)?, free_loopback()?, sockets());
        let pexes = home.join("pexes");
        fs::create_dir(&pexes)?;
        let server = Server::start(&mut command(ground, &home, address.port())?, &ground.log(Self::NAME))?;
        let door = Target::plain(Address::Tcp(address));
        let ready = until_answered(&door, server.started()).await?;
        Ok(Self { server, door, ready, words, pexes, serving: None, replaced: None, foreign_sockets })
    }

    fn ready(&self) -> Duration {
        self.ready
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn place(&self, pair: &Pair) -> Result<(), Failure> {
        pair.deps.link_into(&self.pexes, &name("deps", &pair.deps))?;
        pair.source.link_into(&self.pexes, &name("source", &pair.source))?;
        Ok(())
    }

    async fn deploy(&mut self, pair: &Pair) -> Result<Target, Failure> {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().to_string();
        let tag = format!("files={}:{}", name("deps", &pair.deps), name("source", &pair.source));
        let words = self.words.create.replace("TAG", &tag).replace("PACKAGE", pair.package);
        ask(&self.door, CREATE, &words, &timestamp).await?;
        self.replaced = self.serving.replace(timestamp.clone());
        let door = self.door.clone();
        Ok(door.with("deployment", "prod").with("location", LOCATION).with("timestamp", &timestamp))
    }

    /// Its agent says so after each deploy.
    async fn retire_replaced(&mut self) -> Result<(), Failure> {
        if let Some(timestamp) = self.replaced.take() {
            ask(&self.door, SHUTDOWN, &self.words.shutdown, &timestamp).await?;
        }
        Ok(())
    }

    async fn end(self) {
        self.server.end().await;
        for left in sockets().difference(&self.foreign_sockets) {
            let _ = fs::remove_file(left);
        }
    }
}

fn command(ground: &Ground, home: &Path, port: u16) -> std::io::Result<Command> {
    let bin = venv_bin(&ground.folder);
    let path = env::var("PATH").unwrap_or_default();
    let mut command = Command::new(bin.join("dagster-cloud"));
    command.args(["pex", "grpc", "--port", &port.to_string()]);
    command.env("PATH", format!("{}:{path}", bin.display()));
    command.env("LOCAL_PEX_FILES_DIR", home.join("pexes")).env("VENVS_ROOT", home.join("venvs"));
    command.env("PEX_ROOT", home.join("pex-root")).env("S3_PEX_DISABLED", "1").env("TMPDIR", SOCKETS);
    // Its code servers get the whole environment of the server.
    command.envs(code_server_environment(ground, home)?);
    Ok(command)
}

async fn until_answered(door: &Target, started: Instant) -> Result<Duration, Failure> {
    let message = Text::encoded("ready?");
    while started.elapsed() < PATIENCE {
        if call(door, PING, &message).await.is_ok() {
            return Ok(started.elapsed());
        }
        tokio::time::sleep(DOOR_RETRY).await;
    }
    Err("the peer's door does not answer; see target/bench/run/peer.log".into())
}

async fn ask(door: &Target, method: &'static str, words: &str, timestamp: &str) -> Result<(), Failure> {
    let words = words.replace("LOCATION", LOCATION).replace(TIMESTAMP_PLACEHOLDER, timestamp);
    let answer = call(door, method, &Text::encoded(&words)).await?;
    // Its errors come with status OK.
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer.contains("SerializableErrorInfo") { Err(answer.into()) } else { Ok(()) }
}

async fn call(door: &Target, method: &'static str, message: &Bytes) -> Result<Bytes, CallError> {
    Connection::open(door).await?.call(method, message).await
}

/// It tells pexes apart by their names.
fn name(kind: &str, pex: &Pex) -> String {
    format!("{kind}-{}.pex", &pex.sha256[..40])
}

/// Sockets in the folder that it puts them into and leaves them in.
fn sockets() -> HashSet<PathBuf> {
    let entries = fs::read_dir(SOCKETS).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket())).map(|entry| entry.path()).collect()
}
