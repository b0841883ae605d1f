//! One generation from its first process to its last: start, wait for health, watch, end, clean up.
//!
//! Tells what happens and decides nothing. Whatever happens, the last two reports are `Ended`, at once when the first
//! process has ended, and `Gone`, when no process of the generation lives and its place is gone.

use std::{io, sync::Arc, time::Duration};

use pexvisor_sandbox::{
    self as sandbox, Exit, Spec,
    cgroup::{self, Leaf, LeafName, Tree},
    signal::Signal,
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Composition, Output, Place, Stream,
    command::command_line,
    ending::{self, Remains},
    environ::environ,
    health, output,
    readiness::{self, ReadinessError},
    socket::CodeSocket,
};
use crate::{
    init::{OomGuard, Process, Reaper},
    telemetry::Log,
    words::{CommandKind, Failure, FailureReason, Limits, Revision, with_causes},
};

/// How long the news that a serving code server died waits for its last lines: they are in the pipe already, and the
/// news is promised within 50 ms.
const LAST_LINES_WAIT_SERVING_MAX: Duration = Duration::from_millis(20);
/// The same for one that never served: why is worth more than at once, and its pipe closes when its leaf is killed.
const LAST_LINES_WAIT_MAX: Duration = Duration::from_secs(1);

/// What code servers are started with; one for the whole supervisor.
pub struct Surroundings {
    /// Starts processes and waits for them.
    pub reaper: Reaper,
    /// The boxes.
    pub tree: Arc<Tree>,
    /// Takes their output.
    pub log: Log,
    /// Their soft limit of open files, where the revision does not say: what the supervisor itself was started with.
    pub open_files_soft: Option<u64>,
    /// A serving code server that answers nothing for this long is killed; never, if there is no such time.
    pub health_lost_after: Option<Duration>,
}

/// What to run.
pub struct Plan {
    /// Where.
    pub place: Place,
    /// What.
    pub revision: Revision,
    /// With which composed artifacts.
    pub composition: Composition,
    /// Cancelled when it is to end.
    pub terminate: CancellationToken,
}

/// What happened.
#[derive(Debug)]
pub enum Report {
    /// The first process runs.
    Started {
        /// Its pid.
        pid: i32,
    },
    /// It answers its health check on its own socket.
    Ready {
        /// How to reach it.
        socket: CodeSocket,
    },
    /// It has been asked to end.
    Terminating,
    /// Its first process has ended; what else is left of it is being killed and cleared away.
    Ended {
        /// How its first process ended, if it was started.
        exit: Option<Exit>,
        /// Why it ended; none if it was told to.
        failure: Option<Failure>,
    },
    /// Nothing of it is left: no process, no leaf, no file.
    Gone,
}

/// Why a generation comes to its end.
enum Cause {
    ToldTo,
    Failed(Failure),
    /// By itself; the failure is made when its output has been read.
    Exited(When),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    BeforeReady,
    Serving,
}

/// Runs a generation to its end.
pub async fn run(plan: Plan, surroundings: &Surroundings, output: Output, news: mpsc::Sender<Report>) {
    // Who does not listen any more has no use for the report.
    let report = async |report| drop(news.send(report).await);
    let started = match Running::start(&plan, surroundings, &output).await {
        Ok(running) => running,
        Err(failure) => {
            report(Report::Ended { exit: None, failure: Some(failure) }).await;
            ending::clear_place(&plan.place).await;
            return report(Report::Gone).await;
        }
    };
    report(Report::Started { pid: started.process.pid }).await;
    let (cause, grace) = started.live(&plan, surroundings.health_lost_after, &news).await;
    if grace > Duration::ZERO {
        report(Report::Terminating).await;
    }
    let (exit, remains) = started.end(grace, cause.last_lines_wait()).await;
    let failure = cause.failure(&plan, exit, &output);
    report(Report::Ended { exit: Some(exit), failure }).await;
    remains.clear(&plan.place).await;
    report(Report::Gone).await;
}

struct Running {
    process: Process,
    leaf: Leaf,
    socket: CodeSocket,
    /// Where the kernel ends one process for want of memory, all of the generation ends.
    _oom_guard: Option<OomGuard>,
    readers: JoinSet<io::Result<()>>,
}

impl Running {
    async fn start(plan: &Plan, surroundings: &Surroundings, output: &Output) -> Result<Self, Failure> {
        let line = command_line(&plan.revision.spec, &plan.composition, &plan.place)?;
        let env = environ(&plan.place, &plan.composition, &plan.revision);
        let program = sandbox::Program { path: line.program, args: line.args, env, cwd: line.cwd };
        plan.place.make().map_err(|error| internal(format!("make {}: {error}", plan.place.run.display())))?;
        let (out_read, out_write) = io::pipe().map_err(|error| internal(format!("make a pipe: {error}")))?;
        let (err_read, err_write) = io::pipe().map_err(|error| internal(format!("make a pipe: {error}")))?;
        let spec = Spec::new(program).map_err(|error| Failure::new(FailureReason::BadCommand, error))?;
        let mut spec = spec.with_output(out_write.into(), err_write.into());
        if let Some(count) = plan.revision.spec.limits.open_files_max {
            spec = spec.with_open_files_max(count);
        }
        if let Some(count) = surroundings.open_files_soft {
            spec = spec.with_open_files_soft(count);
        }
        // From here on there is a leaf to clear.
        let leaf = make_leaf(plan, &surroundings.tree)?;
        let (oom_guard, process) = match launch(spec.in_leaf(&leaf), &leaf, surroundings.reaper.clone()).await {
            Ok(launched) => launched,
            Err(failure) => {
                ending::clear_leaf(leaf).await;
                return Err(failure);
            }
        };
        let number = plan.place.generation;
        let mut readers = JoinSet::new();
        readers.spawn(output.clone().collect(number, Stream::Stdout, out_read.into()));
        readers.spawn(output.clone().collect(number, Stream::Stderr, err_read.into()));
        let socket = owned_socket(&plan.place, leaf.clone());
        Ok(Self { process, leaf, socket, _oom_guard: oom_guard, readers })
    }

    /// Until it is told to end, ends by itself or fails. Also says how long it may take to exit: a generation that
    /// never served has nothing to finish.
    async fn live(
        &self,
        plan: &Plan,
        health_lost_after: Option<Duration>,
        news: &mpsc::Sender<Report>,
    ) -> (Cause, Duration) {
        let spec = &plan.revision.spec;
        let (mut answer, mut process) = (String::new(), self.process.clone());
        let healthy = readiness::healthy(&plan.place.run, &self.socket, &spec.health_service, &mut answer);
        let healthy = tokio::select! {
            biased;
            () = plan.terminate.cancelled() => return (Cause::ToldTo, Duration::ZERO),
            _ = process.wait() => return (Cause::Exited(When::BeforeReady), Duration::ZERO),
            healthy = timeout(spec.start_timeout, healthy) => healthy,
        };
        match healthy {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return (Cause::Failed(not_ready(&error)), Duration::ZERO),
            Err(_) => return (Cause::Failed(timed_out(spec.start_timeout, &answer)), Duration::ZERO),
        }
        drop(news.send(Report::Ready { socket: self.socket.clone() }).await);
        tokio::select! {
            biased;
            () = plan.terminate.cancelled() => (Cause::ToldTo, spec.terminate_timeout),
            _ = process.wait() => (Cause::Exited(When::Serving), Duration::ZERO),
            // It was given all this time already: no more for an answer to SIGTERM.
            failure = self.health_lost(&spec.health_service, health_lost_after) => (Cause::Failed(failure), Duration::ZERO),
        }
    }

    async fn health_lost(&self, service: &str, after: Option<Duration>) -> Failure {
        let Some(after) = after else { return std::future::pending().await };
        health::lost(&self.socket, service, after).await;
        let message = format!(
            "the code server answered no health check for {after:?} and was killed; read its logs, or raise \
             --health-lost-seconds"
        );
        Failure::new(FailureReason::LostHealth, message)
    }

    /// SIGTERM, `grace`, then the kill of all that is left. Returns when the first process has ended and its last lines
    /// were read or have had their time; the rest may still be dying then.
    async fn end(mut self, grace: Duration, last_lines_wait: Duration) -> (Exit, Remains) {
        if grace > Duration::ZERO {
            if let Err(error) = self.process.signal(Signal::TERM) {
                tracing::warn!(pid = self.process.pid, "failed to send SIGTERM, so the kill comes first: {error}");
            }
            // After the grace comes the kill, whatever the answer.
            drop(timeout(grace, self.process.wait()).await);
        }
        let mut remains = Remains::killed(self.leaf.clone(), self.readers);
        let end = self.process.wait().await;
        // The kernel counts an OOM kill before it kills.
        let usage = ending::usage(self.leaf).await;
        remains.read_last_lines(last_lines_wait).await;
        (Exit::new(end, &usage), remains)
    }
}

impl Cause {
    fn last_lines_wait(&self) -> Duration {
        match self {
            Self::ToldTo => Duration::ZERO,
            Self::Exited(When::Serving) => LAST_LINES_WAIT_SERVING_MAX,
            Self::Failed(_) | Self::Exited(When::BeforeReady) => LAST_LINES_WAIT_MAX,
        }
    }

    fn failure(self, plan: &Plan, exit: Exit, output: &Output) -> Option<Failure> {
        let output_tail = output.tail_text(plan.place.generation);
        let failure = match self {
            Self::ToldTo => return None,
            Self::Failed(failure) => failure,
            Self::Exited(When::BeforeReady) => ended_early(plan, exit, &output_tail),
            Self::Exited(When::Serving) => {
                Failure::new(FailureReason::Crashed, format!("the code server died: {exit}; read its logs"))
            }
        };
        Some(Failure { traceback: output::traceback(&output_tail), output_tail, exit: Some(exit), ..failure })
    }
}

/// Python itself says that there is no such module by its exit and one line, without a traceback.
fn ended_early(plan: &Plan, exit: Exit, output: &str) -> Failure {
    if let CommandKind::Module(module) = &plan.revision.spec.command.kind
        && output.lines().any(|line| line.ends_with(&format!(": No module named {module}")))
    {
        let message = format!("no artifact has the module {module:?}; check command.module and the source pex");
        return Failure::new(FailureReason::BadCommand, message);
    }
    let message = format!("the code server ended before it was ready: {exit}; read its traceback or its logs");
    Failure::new(FailureReason::Exited, message)
}

async fn launch(spec: Spec, leaf: &Leaf, reaper: Reaper) -> Result<(Option<OomGuard>, Process), Failure> {
    let oom_guard = OomGuard::watch(leaf).map_err(|error| internal(with_causes(&error)))?;
    let process = tokio::task::spawn_blocking(move || reaper.spawn(&spec)).await.expect("spawning does not panic");
    let see_log = |error| internal(format!("{}; see the supervisor's log", with_causes(&error)));
    Ok((oom_guard, process.map_err(see_log)?))
}

fn make_leaf(plan: &Plan, tree: &Tree) -> Result<Leaf, Failure> {
    let environment =
        plan.place.environment.as_str().parse().expect("an environment's name is stricter than a group's");
    let name = LeafName::Generation { environment, number: plan.place.generation };
    let Limits { memory_bytes_max, cpu_millis_max, cpu_weight, pids_max, .. } = plan.revision.spec.limits;
    let limits = cgroup::Limits { memory_bytes_max, cpu_millis_max, cpu_weight, pids_max };
    tree.create_leaf(&name, &limits).map_err(|error| internal(with_causes(&error)))
}

/// The socket, trusted only while a process of this generation's leaf owns it.
fn owned_socket(place: &Place, leaf: Leaf) -> CodeSocket {
    CodeSocket::new(place.socket.clone(), Arc::new(move |pid| leaf.contains(pid).unwrap_or(false)))
}

fn not_ready(error: &ReadinessError) -> Failure {
    let reason = match error {
        ReadinessError::Foreign(_) => FailureReason::ForeignSocket,
        ReadinessError::Watch(_) => FailureReason::Internal,
    };
    Failure::new(reason, format!("failed to {error}"))
}

fn timed_out(bound: Duration, last_answer: &str) -> Failure {
    let message = format!("not ready within {bound:?}: {last_answer}; read its logs, or raise readiness.start_timeout");
    Failure::new(FailureReason::StartTimeout, message)
}

fn internal(what: impl std::fmt::Display) -> Failure {
    Failure::new(FailureReason::Internal, format!("failed to {what}"))
}
