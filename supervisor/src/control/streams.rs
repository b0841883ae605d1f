//! The streams that the API answers with. Each yields when its reader asks, so a slow reader delays only itself.

use std::{path::PathBuf, pin::Pin};

use futures_util::{Stream, StreamExt, future, stream};
use pexvisor_proto::v1::{self, stage_event};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::Status;

use super::{
    grpc_status::{of_request, shutting_down},
    parse::{AfterTail, Logs},
    show,
};
use crate::{
    artifact::Artifacts,
    code_server::{Follow, Line},
    environment::{Change, Changes, Deployment, Registry},
    words::{ArtifactRef, EnvironmentName, EnvironmentStatus, GenerationNumber},
};

/// Steps of a Stage that wait for their reader. When it is full, byte counts are skipped; the end never is.
const STAGE_STEPS_MAX: usize = 64;

/// An answer in several messages.
pub type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The same stream, cut off with UNAVAILABLE when the supervisor stops.
pub fn ending_with<T: Send + 'static>(
    shutdown: &CancellationToken,
    events: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> Events<T> {
    let token = shutdown.clone();
    let goodbye = stream::once(async move { token.is_cancelled().then(|| Err(shutting_down())) });
    let goodbye = goodbye.filter_map(future::ready);
    Box::pin(events.take_until(shutdown.clone().cancelled_owned()).chain(goodbye))
}

/// The steps of a deploy, from the first.
pub fn deploy_events(deployment: Deployment) -> impl Stream<Item = Result<v1::DeployEvent, Status>> + Send {
    stream::unfold(deployment, |mut deployment| async {
        let step = deployment.next().await?.map(show::event);
        Some((step.map_err(|error| of_request(&error)), deployment))
    })
}

/// The changes of one environment, or of all.
pub fn changes(
    changes: Changes,
    only: Option<EnvironmentName>,
) -> impl Stream<Item = Result<v1::WatchEvent, Status>> + Send {
    let all = stream::unfold(changes, |mut changes| async { Some((changes.next().await?, changes)) });
    let wanted = all.filter(move |change| {
        let name = match change {
            Change::Changed(status) => &status.name,
            Change::Removed(name) => name,
        };
        future::ready(only.as_ref().is_none_or(|only| only == name))
    });
    wanted.map(|change| Ok(show::change(change)))
}

/// The lines that are kept, then those to come until the environment is removed.
pub fn log_lines(registry: &Registry, logs: Logs) -> Result<Events<v1::LogLine>, Status> {
    let Logs { environment, generation, tail, then } = logs;
    let output = registry.output(&environment).map_err(|error| of_request(&error))?;
    let status = registry.get(&environment).map_err(|error| of_request(&error))?;
    let (kept, follow) = output.tail(generation, tail);
    check_generation(&status, generation, &kept)?;
    let kept = stream::iter(kept);
    Ok(match then {
        AfterTail::End => Box::pin(kept.map(shown)),
        AfterTail::Follow => {
            let removed = removal(registry.changes(), environment);
            Box::pin(kept.chain(lines(follow).take_until(Box::pin(removed))).map(shown))
        }
    })
}

/// Fetches and installs; the work goes on only as long as somebody reads.
pub fn stage(
    artifacts: Artifacts,
    wanted: Vec<ArtifactRef>,
    interpreter: Option<PathBuf>,
) -> impl Stream<Item = Result<v1::StageEvent, Status>> + Send {
    let (steps, reader) = mpsc::channel(STAGE_STEPS_MAX);
    let work = tokio::spawn(async move {
        let told = steps.clone();
        let tell = move |step| drop(told.try_send(Ok(show::stage_progress(step))));
        let event = match artifacts.prepare(&wanted, interpreter.as_deref(), tell).await {
            Ok(prepared) => {
                artifacts.compile_later(&prepared);
                stage_event::Event::Ready(stage_event::StageReady {})
            }
            Err(failure) => stage_event::Event::Failed(show::failure(failure)),
        };
        // Only fails when the reader has gone, and then nobody asks.
        drop(steps.send(Ok(v1::StageEvent { event: Some(event) })).await);
    });
    let work = AbortOnDropHandle::new(work);
    ReceiverStream::new(reader).inspect(move |_| _ = &work)
}

fn shown(line: Line) -> Result<v1::LogLine, Status> {
    Ok(show::line(line))
}

fn lines(follow: Follow) -> impl Stream<Item = Line> + Send {
    stream::unfold(follow, |mut follow| async { Some((follow.next().await?, follow)) })
}

/// Comes when the environment is gone.
async fn removal(mut changes: Changes, name: EnvironmentName) {
    while let Some(change) = changes.next().await {
        if matches!(change, Change::Removed(gone) if gone == name) {
            return;
        }
    }
}

fn check_generation(status: &EnvironmentStatus, wanted: Option<GenerationNumber>, kept: &[Line]) -> Result<(), Status> {
    let Some(wanted) = wanted.filter(|_| kept.is_empty()) else { return Ok(()) };
    if status.generations.iter().any(|generation| generation.number == wanted) {
        return Ok(());
    }
    Err(Status::not_found(format!("nothing is kept of generation {wanted}; Get shows the generations there are")))
}
