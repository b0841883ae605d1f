//! One run: which measures, how many rounds, and where the results go.

use std::{fs, path::PathBuf, sync::atomic::AtomicUsize, time::Duration};

use clap::{Args, ValueEnum};

use crate::{
    contender::{Failure, Ground},
    deploys::{self, Start},
    process,
    progress::say,
    proxies::{self, Extent},
    results::{KINDS, Results, Side},
    table,
};

const DEPLOY_MEASURES: [&str; 5] = ["first_deploy", "fast_deploy", "same_pexes", "server_memory", "ready"];
const CALL_MEASURES: [&str; 2] = ["call_p50", "call_p99"];
const ECHO_MEASURES: [&str; 2] = ["echo_p50", "echo_rate"];

/// A full run: about 20 minutes on 2 cores, half of them waits for the file system.
const FULL: (usize, Extent) = (5, Extent { rounds: 7, serial_calls: 1000, rate_length: Duration::from_secs(2) });
/// Enough to see whether all of it works.
const QUICK: (usize, Extent) = (1, Extent { rounds: 2, serial_calls: 200, rate_length: Duration::from_millis(500) });

/// What to measure.
#[derive(Args)]
pub struct Options {
    /// Few repeats: shows that everything works, not how fast.
    #[arg(long)]
    quick: bool,
    /// Only these measures (and those that come with them), separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = names())]
    only: Vec<String>,
    /// Rounds of deploys, instead of the usual number; each needs two sources from setup.sh.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only these servers.
    #[arg(long, value_delimiter = ',', default_value = "peer,pexvisor")]
    sides: Vec<Contestant>,
    /// What setup.sh made; the results go there too.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
}

/// Measures and writes.
pub async fn run(options: &Options) -> Result<(), Failure> {
    process::adopt_orphans()?;
    let own_program = std::env::current_exe()?;
    let programs = own_program.parent().ok_or("a program lies in a folder")?.to_owned();
    let sides = options.sides.iter().map(|contestant| contestant.side()).collect();
    let ground = Ground { folder: options.folder.canonicalize()?, programs, sides, folders: AtomicUsize::new(0) };
    ground.clear()?;
    let results = measure(options, &ground).await?;
    let table = table::page(&results);
    fs::write(ground.folder.join("results.json"), serde_json::to_string_pretty(&results.json())? + "\n")?;
    fs::write(ground.folder.join("table.md"), &table)?;
    say(&format!("results.json and table.md are in {}\n\n{table}", ground.folder.display()));
    Ok(ground.clear()?)
}

async fn measure(options: &Options, ground: &Ground) -> Result<Results, Failure> {
    let (rounds, extent) = if options.quick { QUICK } else { FULL };
    let mut results = Results::default();
    if options.wants(&DEPLOY_MEASURES) {
        let start = if options.quick { Start::AtOnce } else { Start::Settled };
        deploys::measure(ground, options.rounds.unwrap_or(rounds), start, &mut results).await?;
    }
    if options.wants(&CALL_MEASURES) {
        proxies::measure_calls(ground, extent, &mut results).await?;
    }
    if options.wants(&ECHO_MEASURES) {
        proxies::measure_echo(ground, extent, &mut results).await?;
    }
    Ok(results)
}

#[derive(Clone, Copy, ValueEnum)]
enum Contestant {
    Peer,
    Pexvisor,
}

impl Contestant {
    fn side(self) -> Side {
        match self {
            Self::Peer => Side::Peer,
            Self::Pexvisor => Side::Pexvisor,
        }
    }
}

impl Options {
    fn wants(&self, names: &[&str]) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| names.contains(&wanted.as_str()))
    }
}

fn names() -> clap::builder::PossibleValuesParser {
    KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().into()
}
