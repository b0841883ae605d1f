//! `pexvisor-bench`: pexvisor and its peer side by side in one run, on the same bytes, with one generator.
//!
//! `run` measures and writes `results.json` and `table.md`; `echo` is the native code server that both are given when
//! their proxies are measured. What each measure means is in `bench/README.md`.

mod address;
mod call;
mod contender;
mod deploys;
mod echo;
mod load;
mod nginx;
mod peer;
mod pexes;
mod pexvisor;
mod proc_fs;
mod process;
mod progress;
mod proxies;
mod results;
mod run;
mod table;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Measures pexvisor beside its peer.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure everything and write the results.
    Run(run::Options),
    /// Answer every call with the bytes that came, over a unix socket.
    Echo {
        /// Where to listen.
        #[arg(long)]
        socket: PathBuf,
    },
}

/// One thread: the generator must not wake a second core for its own work.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => tokio::select! {
            done = run::run(&options) => done,
            // Ends the servers under test by dropping them.
            ended = asked_to_end() => Err(ended.map_or_else(Into::into, |()| "interrupted".into())),
        },
        Command::Echo { socket } => echo::serve(&socket).await.map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::say(&format!("failed: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns on SIGINT or SIGTERM.
async fn asked_to_end() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
