//! pexctl: deploys to a running pexvisor and looks at it. Talks to the control API and to nothing else.

mod address;
mod args;
mod commands;
mod connect;
mod deploy;
mod error;
mod out;
mod show;
mod units;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Args, error::Problem, out::Out};

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(Problem::Runtime).and_then(|runtime| runtime.block_on(run(args)));
    match result {
        Ok(exit) => exit.into(),
        // Whoever read the output has seen enough (`pexctl logs | head`).
        Err(Problem::ReaderGone) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("pexctl: {problem}");
            problem.exit().into()
        }
    }
}

async fn run(args: Args) -> Result<error::Exit, Problem> {
    let mut client = connect::connect(args.control()?).await?;
    commands::run(args.command, &mut client, &mut Out::stdout(args.json)).await
}
