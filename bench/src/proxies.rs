//! `call_p50`, `call_p99`, `echo_p50`, `echo_rate`: the same load through every way to a code server.
//!
//! All ways are open at once and take turns, so that a disturbance of the machine falls on all of them.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    address::{Address, Target},
    call::{CallError, Connection},
    contender::{Contender, Failure, Ground, PATIENCE, until_marker},
    load, nginx,
    peer::Peer,
    pexes::{Pair, Pex},
    pexvisor::Pexvisor,
    process::Server,
    progress::say,
    results::{Results, Side},
};

/// Calls kept in flight for `echo_rate`.
const AT_ONCE: usize = 32;

/// Unmeasured calls on a new connection.
const WARM_UP_CALLS: usize = 50;

/// Pause before a way is tried again.
const WAY_RETRY: Duration = Duration::from_millis(20);

/// How much of each load.
#[derive(Clone, Copy)]
pub struct Extent {
    pub rounds: usize,
    pub serial_calls: usize,
    pub rate_length: Duration,
}

/// One open way to a code server.
struct Way {
    side: Side,
    connection: Connection,
}

/// The real Dagster code server: direct, through pexvisor, through the peer.
pub async fn measure_calls(ground: &Ground, extent: Extent, results: &mut Results) -> Result<(), Failure> {
    let pair = Pair::orders(&Pex::at(ground.folder.join("deps.pex"))?, &ground.folder, 1)?;
    let mut ways = Vec::new();
    let pexvisor = open::<Pexvisor>(ground, &pair, &mut ways).await?;
    if let Some(pexvisor) = &pexvisor {
        ways.push(way(Side::Direct, &pexvisor.code_server()?).await?);
    }
    let peer = open::<Peer>(ground, &pair, &mut ways).await?;
    for number in 0..extent.rounds {
        say(&format!("calls, round {} of {}", number + 1, extent.rounds));
        for way in &mut ways {
            let latencies = load::serial(&mut way.connection, extent.serial_calls).await?;
            results.add("call_p50", way.side, latencies.percentile_ms(50));
            results.add("call_p99", way.side, latencies.percentile_ms(99));
        }
    }
    end(pexvisor, peer).await;
    Ok(())
}

/// The echo server: direct, and behind nginx, pexvisor and the peer.
pub async fn measure_echo(ground: &Ground, extent: Extent, results: &mut Results) -> Result<(), Failure> {
    let pair = Pair::echo(&ground.folder)?;
    let (backend, socket) = start_echo(ground)?;
    let (nginx, through_nginx) = nginx::start(ground, &socket)?;
    let direct = Target::plain(Address::Unix(socket));
    let mut ways = vec![way(Side::Direct, &direct).await?, way(Side::Nginx, &through_nginx).await?];
    let pexvisor = open::<Pexvisor>(ground, &pair, &mut ways).await?;
    let peer = open::<Peer>(ground, &pair, &mut ways).await?;
    for number in 0..extent.rounds {
        say(&format!("echo, round {} of {}", number + 1, extent.rounds));
        echo_round(&mut ways, extent, results).await?;
    }
    end(pexvisor, peer).await;
    nginx.end().await;
    backend.end().await;
    Ok(())
}

async fn echo_round(ways: &mut [Way], extent: Extent, results: &mut Results) -> Result<(), Failure> {
    for way in ways.iter_mut() {
        let latencies = load::serial(&mut way.connection, extent.serial_calls).await?;
        results.add("echo_p50", way.side, latencies.percentile_ms(50));
    }
    for way in ways.iter() {
        let rate = load::rate(&way.connection, AT_ONCE, extent.rate_length).await?;
        results.add("echo_rate", way.side, rate);
    }
    Ok(())
}

/// Starts the server, deploys, and opens a way through it, if it takes part.
async fn open<C: Contender>(ground: &Ground, pair: &Pair, ways: &mut Vec<Way>) -> Result<Option<C>, Failure> {
    if !ground.takes_part(C::SIDE) {
        return Ok(None);
    }
    say(&format!("starting {}", C::NAME));
    let mut contender = C::start(ground).await?;
    contender.place(pair)?;
    let target = contender.deploy(pair).await?;
    if let Some(marker) = &pair.marker {
        until_marker(&target, marker).await?;
    }
    ways.push(way(C::SIDE, &target).await?);
    contender.server().quiet().await;
    Ok(Some(contender))
}

async fn end(pexvisor: Option<Pexvisor>, peer: Option<Peer>) {
    if let Some(pexvisor) = pexvisor {
        pexvisor.end().await;
    }
    if let Some(peer) = peer {
        peer.end().await;
    }
}

/// Opens the way as soon as calls through it are answered.
async fn way(side: Side, target: &Target) -> Result<Way, Failure> {
    let asked = Instant::now();
    loop {
        match warm(target).await {
            Ok(connection) => return Ok(Way { side, connection }),
            Err(failure) if asked.elapsed() > PATIENCE => return Err(failure.into()),
            Err(_) => tokio::time::sleep(WAY_RETRY).await,
        }
    }
}

async fn warm(target: &Target) -> Result<Connection, CallError> {
    let mut connection = Connection::open(target).await?;
    load::serial(&mut connection, WARM_UP_CALLS).await?;
    Ok(connection)
}

fn start_echo(ground: &Ground) -> Result<(Server, PathBuf), Failure> {
    let socket = ground.fresh("echo")?.join("s.sock");
    let mut command = Command::new(ground.program("pexvisor-bench"));
    command.arg("echo").arg("--socket").arg(&socket);
    Ok((Server::start(&mut command, &ground.log("echo"))?, socket))
}
