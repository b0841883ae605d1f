//! pexvisor, driven over its control API as any client would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use pexvisor_proto::v1::{
    Artifact, Command as CodeServer, DagsterProfile, DeployEvent, DeployRequest, DescribeRequest, RevisionSpec,
    Timings, command::Kind, deploy_event::Event, supervisor_client::SupervisorClient,
};
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};

use crate::{
    address::{Address, Target, free_loopback},
    contender::{Contender, DOOR_RETRY, Failure, Ground, LOCATION, PATIENCE, code_server_environment},
    pexes::{Pair, Pex},
    process::Server,
    progress::say,
    results::Side,
};

pub struct Pexvisor {
    server: Server,
    control: SupervisorClient<Channel>,
    proxy: Target,
    ready: Duration,
    state: PathBuf,
    store: PathBuf,
    environment: Vec<(String, String)>,
}

impl Contender for Pexvisor {
    const SIDE: Side = Side::Pexvisor;
    const NAME: &'static str = "pexvisor";

    async fn start(ground: &Ground) -> Result<Self, Failure> {
        let home = ground.fresh(Self::NAME)?;
        let (store, state, control) = (home.join("store"), home.join("state"), home.join("control.sock"));
        fs::create_dir(&store)?;
        let proxy = free_loopback()?;
        let mut command = Command::new(ground.program("pexvisor"));
        command.arg("--state-dir").arg(&state).arg("--store").arg(format!("file://{}", store.display()));
        command.arg("--control").arg(format!("unix:{}", control.display()));
        command.args(["--proxy", &proxy.to_string(), "--probes", &free_loopback()?.to_string()]);
        let server = Server::start(&mut command, &ground.log(Self::NAME))?;
        let (control, ready) = until_answered(&control, server.started()).await?;
        let proxy = Target::plain(Address::Tcp(proxy)).with("x-pexvisor-environment", LOCATION);
        let environment = code_server_environment(ground, &home)?;
        Ok(Self { server, control, proxy, ready, state, store, environment })
    }

    fn ready(&self) -> Duration {
        self.ready
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn place(&self, pair: &Pair) -> Result<(), Failure> {
        for pex in [&pair.deps, &pair.source] {
            pex.link_into(&self.store, &format!("{}.pex", pex.sha256))?;
        }
        Ok(())
    }

    async fn deploy(&mut self, pair: &Pair) -> Result<Target, Failure> {
        let request = DeployRequest {
            environment: LOCATION.to_owned(),
            revision: Some(self.revision(pair)),
            ..DeployRequest::default()
        };
        let events = self.control.deploy(request).await?.into_inner();
        tell_timings(&until_ready(events).await?);
        Ok(self.proxy.clone())
    }

    /// It does so itself.
    async fn retire_replaced(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn end(self) {
        self.server.end().await;
    }
}

impl Pexvisor {
    /// The socket of the one code server, without the proxy.
    pub fn code_server(&self) -> Result<Target, Failure> {
        let generations = fs::read_dir(self.state.join("run"))?.flatten().map(|entry| entry.path());
        let sockets = generations.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let socket = sockets.map(|entry| entry.path().join("s.sock")).find(|socket| socket.exists());
        Ok(Target::plain(Address::Unix(socket.ok_or("no code server has a socket")?)))
    }

    fn revision(&self, pair: &Pair) -> RevisionSpec {
        let artifact = |pex: &Pex| Artifact { sha256: pex.sha256.clone(), location: String::new() };
        let profile = DagsterProfile { package_name: pair.package.to_owned(), ..DagsterProfile::default() };
        RevisionSpec {
            artifacts: vec![artifact(&pair.deps), artifact(&pair.source)],
            command: Some(CodeServer { kind: Some(Kind::Dagster(profile)), args: Vec::new() }),
            env: self.environment.iter().cloned().collect(),
            ..RevisionSpec::default()
        }
    }
}

async fn until_answered(socket: &Path, started: Instant) -> Result<(SupervisorClient<Channel>, Duration), Failure> {
    let endpoint = Endpoint::try_from(format!("unix:{}", socket.display()))?;
    while started.elapsed() < PATIENCE {
        if let Ok(channel) = endpoint.connect().await {
            let mut client = SupervisorClient::new(channel);
            if client.describe(DescribeRequest {}).await.is_ok() {
                return Ok((client, started.elapsed()));
            }
        }
        tokio::time::sleep(DOOR_RETRY).await;
    }
    Err("pexvisor's control door does not answer; see target/bench/run/pexvisor.log".into())
}

async fn until_ready(mut events: Streaming<DeployEvent>) -> Result<Timings, Failure> {
    while let Some(event) = events.message().await? {
        match event.event {
            Some(Event::Ready(ready)) => return Ok(ready.timings.unwrap_or_default()),
            Some(Event::Failed(failed)) => return Err(format!("the deploy failed: {:?}", failed.failure).into()),
            Some(Event::Superseded(_)) => return Err("the deploy was superseded".into()),
            Some(Event::Accepted(_) | Event::Fetching(_) | Event::Installing(_) | Event::Starting(_)) | None => {}
        }
    }
    Err("the deploy's stream ended before its last event".into())
}

fn tell_timings(timings: &Timings) {
    let Timings { accept_us, fetch_us, install_us, start_us, cut_over_us, total_us } = timings;
    say(&format!(
        "    pexvisor's own clock in us: accept {accept_us}, fetch {fetch_us}, install {install_us}, start {start_us}, \
         cut over {cut_over_us}, total {total_us}"
    ));
}
