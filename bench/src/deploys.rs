//! `ready`, `first_deploy`, `fast_deploy`, `same_pexes`, `server_memory`: rounds that alternate between the two.
//!
//! Each round starts a server on an empty state, so that every byte of a first deploy is new to it.

use std::time::{Duration, Instant};

use crate::{
    address::Target,
    contender::{Contender, Failure, Ground, server_id, until_marker},
    peer::Peer,
    pexes::{Pair, Pex},
    pexvisor::Pexvisor,
    progress::say,
    results::Results,
};

/// The clock of one deploy and what it cost.
struct Timed {
    wall: Duration,
    /// CPU time of the whole server tree until the clock stopped.
    cpu: Duration,
    /// The same until the server was idle again.
    cpu_until_idle: Duration,
    target: Target,
}

/// How a server's turn begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// When the file system has forgotten what the one before did.
    Settled,
    /// At once: figures are not the point.
    AtOnce,
}

/// Runs `rounds` rounds, each side first in every other one.
pub async fn measure(ground: &Ground, rounds: usize, start: Start, results: &mut Results) -> Result<(), Failure> {
    let deps = Pex::at(ground.folder.join("deps.pex"))?;
    for number in 0..rounds {
        let salt = format!("round {number} of {:?}", std::time::SystemTime::now());
        let salted = deps.salted(ground.folder.join("deps-salted.pex"), &salt)?;
        let pairs = [
            Pair::orders(&salted, &ground.folder, 2 * number + 1)?,
            Pair::orders(&salted, &ground.folder, 2 * number + 2)?,
        ];
        say(&format!("deploys, round {} of {rounds}", number + 1));
        if number % 2 == 0 {
            round::<Peer>(ground, &pairs, start, results).await?;
            round::<Pexvisor>(ground, &pairs, start, results).await?;
        } else {
            round::<Pexvisor>(ground, &pairs, start, results).await?;
            round::<Peer>(ground, &pairs, start, results).await?;
        }
    }
    Ok(())
}

async fn round<C: Contender>(
    ground: &Ground,
    [first, second]: &[Pair; 2],
    start: Start,
    results: &mut Results,
) -> Result<(), Failure> {
    if !ground.takes_part(C::SIDE) {
        return Ok(());
    }
    if start == Start::Settled {
        say(&format!("  {} waits until the file system is at rest", C::NAME));
        ground.settle().await;
    }
    let mut contender = C::start(ground).await?;
    results.add("ready", C::SIDE, contender.ready().as_secs_f64() * 1e3);
    contender.server().quiet().await;
    let mut before = None;
    for (name, pair) in [("first_deploy", first), ("fast_deploy", second), ("same_pexes", second)] {
        let timed = deploy(&mut contender, pair, before.as_ref()).await?;
        tell::<C>(name, &timed);
        results.add_timed(name, C::SIDE, timed.wall, timed.cpu, timed.cpu_until_idle);
        before = Some(timed.target);
    }
    results.add("server_memory", C::SIDE, contender.server().memory_mb());
    contender.end().await;
    Ok(())
}

async fn deploy<C: Contender>(contender: &mut C, pair: &Pair, before: Option<&Target>) -> Result<Timed, Failure> {
    contender.place(pair)?;
    let id_before = match before {
        Some(target) => Some(server_id(target).await?),
        None => None,
    };
    let (cpu_before, sent) = (contender.server().cpu(), Instant::now());
    let target = contender.deploy(pair).await?;
    until_marker(&target, pair.marker.as_ref().ok_or("the pair has no marker")?).await?;
    let (wall, cpu) = (sent.elapsed(), contender.server().cpu().saturating_sub(cpu_before));
    // The same pexes carry the same marker: only this tells that the new code server has answered.
    if id_before == Some(server_id(&target).await?) {
        return Err("the answer came from the code server before".into());
    }
    contender.server().quiet().await;
    let cpu_until_idle = contender.server().cpu().saturating_sub(cpu_before);
    contender.retire_replaced().await?;
    contender.server().quiet().await;
    Ok(Timed { wall, cpu, cpu_until_idle, target })
}

fn tell<C: Contender>(name: &str, timed: &Timed) {
    let (wall, cpu, idle) = (timed.wall.as_secs_f64(), timed.cpu.as_secs_f64(), timed.cpu_until_idle.as_secs_f64());
    say(&format!("  {name:13} {:9} {wall:7.3} s, CPU {cpu:.2} s ({idle:.2} s until idle)", C::NAME));
}
