//! The control API as the tests speak it: calls by name, and what came of a deploy.

use std::path::Path;

use pexvisor_proto::v1::{
    DeployEvent, DeployRequest, Environment, Failure, FailureReason, GetRequest, ListRequest, LogLine, LogsRequest,
    RemoveRequest, RestartRequest, RevisionSpec, RollbackRequest, StopRequest, deploy_event::Event,
    supervisor_client::SupervisorClient,
};
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::Echo;

/// A deploy request without conditions.
pub fn request(environment: &str, revision: RevisionSpec) -> DeployRequest {
    DeployRequest {
        environment: environment.to_owned(),
        revision: Some(revision),
        request_id: String::new(),
        expected_revision: None,
    }
}

/// Sends bytes as the request of a streaming call and waits for its first answer: for requests that no client would make.
pub async fn raw(socket: &Path, method: &str, request: Vec<u8>) -> Result<(), Status> {
    let mut answers = Echo::on(socket).raw_stream(&format!("/pexvisor.v1.Supervisor/{method}"), request).await?;
    answers.message().await.map(drop)
}

/// A client of one supervisor's control socket.
#[derive(Clone)]
pub struct Control {
    client: SupervisorClient<Channel>,
}

impl Control {
    /// Connects when the first call is made.
    pub fn new(socket: &Path) -> Self {
        let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display())).expect("a socket's path is a URI");
        Self { client: SupervisorClient::new(endpoint.connect_lazy()) }
    }

    /// The generated client, for calls that have no word here.
    pub fn client(&self) -> SupervisorClient<Channel> {
        self.client.clone()
    }

    /// Deploys and follows the stream to its end.
    pub async fn deploy(&self, request: DeployRequest) -> Result<Outcome, Status> {
        Outcome::follow(self.deploy_stream(request).await?).await
    }

    /// Deploys and leaves the stream to the caller.
    pub async fn deploy_stream(&self, request: DeployRequest) -> Result<Streaming<DeployEvent>, Status> {
        Ok(self.client().deploy(request).await?.into_inner())
    }

    /// Deploys what must become ready; gives the revision.
    pub async fn deploy_ready(&self, environment: &str, revision: RevisionSpec) -> u64 {
        self.deploy(request(environment, revision)).await.expect("the deploy is accepted").ready()
    }

    /// One environment.
    pub async fn get(&self, environment: &str) -> Result<Environment, Status> {
        let request = GetRequest { environment: environment.to_owned() };
        Ok(self.client().get(request).await?.into_inner())
    }

    /// All environments.
    pub async fn list(&self) -> Result<Vec<Environment>, Status> {
        Ok(self.client().list(ListRequest {}).await?.into_inner().environments)
    }

    /// Stops an environment.
    pub async fn stop(&self, environment: &str) -> Result<Environment, Status> {
        let request = StopRequest { environment: environment.to_owned() };
        Ok(self.client().stop(request).await?.into_inner())
    }

    /// Stops an environment and forgets it.
    pub async fn remove(&self, environment: &str) -> Result<(), Status> {
        let request = RemoveRequest { environment: environment.to_owned() };
        self.client().remove(request).await.map(|_| ())
    }

    /// Restarts and follows the stream to its end.
    pub async fn restart(&self, environment: &str) -> Result<Outcome, Status> {
        let request = RestartRequest { environment: environment.to_owned() };
        Outcome::follow(self.client().restart(request).await?.into_inner()).await
    }

    /// Rolls back (to the previous revision when 0) and follows the stream to its end.
    pub async fn rollback(&self, environment: &str, to_revision: u64) -> Result<Outcome, Status> {
        let request = RollbackRequest { environment: environment.to_owned(), to_revision };
        Outcome::follow(self.client().rollback(request).await?.into_inner()).await
    }

    /// Opens a stream of log lines.
    pub async fn logs(&self, request: LogsRequest) -> Result<Streaming<LogLine>, Status> {
        Ok(self.client().logs(request).await?.into_inner())
    }

    /// The last `tail` lines kept (all when 0), as text.
    pub async fn log_text(&self, environment: &str, tail: u32) -> Result<String, Status> {
        let request = LogsRequest { environment: environment.to_owned(), tail, ..LogsRequest::default() };
        let mut lines = self.logs(request).await?;
        let mut text = String::new();
        while let Some(line) = lines.message().await? {
            text += &String::from_utf8_lossy(&line.line);
            text.push('\n');
        }
        Ok(text)
    }

    /// The process id of the generation that serves.
    pub async fn serving_pid(&self, environment: &str) -> Option<i32> {
        let state = self.get(environment).await.ok()?;
        let serving = state.generations.iter().find(|generation| {
            generation.phase() == pexvisor_proto::v1::GenerationPhase::Serving && generation.pid != 0
        })?;
        Some(serving.pid)
    }
}

/// The events of one deploy, restart or rollback, up to its end.
#[derive(Debug)]
pub struct Outcome {
    /// All of them, in order.
    pub events: Vec<DeployEvent>,
}

impl Outcome {
    /// Reads a stream to its end and holds it to the protocol: ACCEPTED first, numbered without gaps, one end, last.
    pub async fn follow(mut stream: Streaming<DeployEvent>) -> Result<Self, Status> {
        let mut events = Vec::new();
        while let Some(event) = stream.message().await? {
            events.push(event);
        }
        let outcome = Self { events };
        outcome.assert_well_formed();
        Ok(outcome)
    }

    fn assert_well_formed(&self) {
        let is_end = |event: &DeployEvent| {
            matches!(event.event, Some(Event::Ready(_) | Event::Failed(_) | Event::Superseded(_)))
        };
        let first = self.events.first().and_then(|event| event.event.as_ref());
        assert!(matches!(first, Some(Event::Accepted(_))), "the first event is ACCEPTED: {self:#?}");
        assert!(self.events.last().is_some_and(is_end), "the last event is an end: {self:#?}");
        assert_eq!(self.events.iter().filter(|event| is_end(event)).count(), 1, "there is one end: {self:#?}");
        let numbers: Vec<u64> = self.events.iter().map(|event| event.sequence).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "events count from 1 without gaps");
    }

    /// The number that the supervisor gave.
    pub fn revision(&self) -> u64 {
        self.events[0].revision
    }

    /// The end of the stream.
    pub fn end(&self) -> &Event {
        let last = self.events.last().expect("a stream has an end");
        last.event.as_ref().expect("an event has contents")
    }

    /// Asserts that it became ready; gives the revision.
    pub fn ready(&self) -> u64 {
        assert!(matches!(self.end(), Event::Ready(_)), "expected READY: {:#?}", self.end());
        self.revision()
    }

    /// Asserts that it failed for this reason; gives the failure and the generation that serves on.
    pub fn failed(&self, reason: FailureReason) -> (Failure, u64) {
        let Event::Failed(failed) = self.end() else { panic!("expected FAILED: {:#?}", self.end()) };
        let failure = failed.failure.clone().expect("a failure says why");
        assert_eq!(failure.reason(), reason, "{failure:#?}");
        assert!(!failure.message.is_empty(), "a failure has a message");
        (failure, failed.still_serving_generation)
    }
}
