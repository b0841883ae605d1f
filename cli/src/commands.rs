//! One function per command: ask, then show.

use pexvisor_proto::v1;
use tonic::Streaming;

use crate::{
    args::{Command, DeployArgs, LogsArgs},
    connect::Client,
    deploy::{self, FileNames, GivenArtifact},
    error::{Exit, Problem},
    out::{Out, Style},
    show::{self, Progress},
};

/// Carries out one command.
pub async fn run(command: Command, client: &mut Client, out: &mut Out) -> Result<Exit, Problem> {
    match command {
        Command::Deploy(args) => deploy(*args, client, out).await,
        Command::List => list(client, out).await,
        Command::Status { environment } => status(environment, client, out).await,
        Command::Logs(args) => logs(args, client, out).await,
        Command::Watch { environment } => watch(environment.unwrap_or_default(), client, out).await,
        Command::Stop { environment } => stop(environment, client, out).await,
        Command::Remove { environment } => remove(environment, client, out).await,
        Command::Restart { environment } => {
            let events = client.restart(v1::RestartRequest { environment }).await?.into_inner();
            follow(events, FileNames::new(), Until::Over, out).await
        }
        Command::Rollback { environment, to } => {
            let events = client.rollback(v1::RollbackRequest { environment, to_revision: to }).await?.into_inner();
            follow(events, FileNames::new(), Until::Over, out).await
        }
        Command::Stage { artifacts, store_dir, interpreter } => {
            stage(&artifacts, store_dir.as_deref(), interpreter, client, out).await
        }
        Command::Describe => describe(client, out).await,
    }
}

/// How long a deploy is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Accepted,
    Over,
}

async fn deploy(args: DeployArgs, client: &mut Client, out: &mut Out) -> Result<Exit, Problem> {
    let until = if args.no_wait { Until::Accepted } else { Until::Over };
    let (request, names) = deploy::order(args)?;
    let events = client.deploy(request).await?.into_inner();
    follow(events, names, until, out).await
}

async fn follow(
    mut events: Streaming<v1::DeployEvent>,
    names: FileNames,
    until: Until,
    out: &mut Out,
) -> Result<Exit, Problem> {
    let mut progress = Progress::new(names, out);
    while let Some(event) = events.message().await? {
        let exit = progress.event(&event)?;
        if let Some(exit) = exit.or((until == Until::Accepted).then_some(Exit::Done)) {
            return Ok(exit);
        }
    }
    Err(Problem::CutShort)
}

async fn stage(
    given: &[GivenArtifact],
    store_dir: Option<&std::path::Path>,
    interpreter: String,
    client: &mut Client,
    out: &mut Out,
) -> Result<Exit, Problem> {
    let (artifacts, names) = deploy::resolve(given, store_dir)?;
    let mut events = client.stage(v1::StageRequest { artifacts, interpreter }).await?.into_inner();
    let mut progress = Progress::new(names, out);
    while let Some(event) = events.message().await? {
        if let Some(exit) = progress.stage_event(&event)? {
            return Ok(exit);
        }
    }
    Err(Problem::CutShort)
}

async fn list(client: &mut Client, out: &mut Out) -> Result<Exit, Problem> {
    let environments = client.list(v1::ListRequest {}).await?.into_inner().environments;
    match out.style {
        Style::Json => environments.iter().try_for_each(|it| out.json(&show::json::environment(it)))?,
        Style::Plain | Style::Terminal => out.text(&show::table(&environments))?,
    }
    Ok(Exit::Done)
}

async fn status(environment: String, client: &mut Client, out: &mut Out) -> Result<Exit, Problem> {
    let environment = client.get(v1::GetRequest { environment }).await?.into_inner();
    match out.style {
        Style::Json => out.json(&show::json::environment(&environment))?,
        Style::Plain | Style::Terminal => out.text(&show::environment(&environment))?,
    }
    Ok(Exit::Done)
}

async fn stop(environment: String, client: &mut Client, out: &mut Out) -> Result<Exit, Problem> {
    let environment = client.stop(v1::StopRequest { environment }).await?.into_inner();
    match out.style {
        Style::Json => out.json(&show::json::environment(&environment))?,
        Style::Plain | Style::Terminal => out.text(&format!("{} is stopped\n", environment.name))?,
    }
    Ok(Exit::Done)
}

async fn remove(environment: String, client: &mut Client, out: &mut Out) -> Result<Exit, Problem> {
    client.remove(v1::RemoveRequest { environment: environment.clone() }).await?;
    match out.style {
        Style::Json => out.json(&serde_json::json!({ "removed": environment }))?,
        Style::Plain | Style::Terminal => out.text(&format!("{environment} is removed\n"))?,
    }
    Ok(Exit::Done)
}

async fn watch(environment: String, client: &mut Client, out: &mut Out) -> Result<Exit, Problem> {
    let mut events = client.watch(v1::WatchRequest { environment }).await?.into_inner();
    while let Some(event) = events.message().await? {
        match out.style {
            Style::Json => out.json(&show::json::watch_event(&event))?,
            Style::Plain | Style::Terminal => out.text(&show::change(&event))?,
        }
    }
    Ok(Exit::Done)
}

async fn logs(args: LogsArgs, client: &mut Client, out: &mut Out) -> Result<Exit, Problem> {
    let LogsArgs { environment, follow, tail, generation, timestamps } = args;
    let prefix = if timestamps { show::Prefix::Full } else { show::Prefix::None };
    let request = v1::LogsRequest { environment, generation, tail, follow };
    let mut lines = client.logs(request).await?.into_inner();
    while let Some(line) = lines.message().await? {
        match out.style {
            Style::Json => out.json(&show::json::log_line(&line))?,
            Style::Plain | Style::Terminal => out.bytes(&show::log_line(&line, prefix))?,
        }
    }
    Ok(Exit::Done)
}

async fn describe(client: &mut Client, out: &mut Out) -> Result<Exit, Problem> {
    let answer = client.describe(v1::DescribeRequest {}).await?.into_inner();
    match out.style {
        Style::Json => out.json(&show::json::describe(&answer))?,
        Style::Plain | Style::Terminal => out.text(&show::describe(&answer))?,
    }
    Ok(Exit::Done)
}
