//! The deploy requests an environment remembers, so that a repeated `request_id` follows instead of deploying again.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::state::Told;
use crate::words::{Failure, GenerationNumber, RevisionNumber, RevisionSpec};

/// How many are remembered per environment: a control plane that repeats a request does so within a few deploys.
pub const REQUESTS_KEPT: usize = 64;

/// One remembered request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The caller's id.
    pub id: String,
    /// What was asked for: a repeat must ask for the same.
    pub spec: RevisionSpec,
    /// The number it was given.
    pub revision: RevisionNumber,
    /// How it ended, if it has.
    pub outcome: Option<Outcome>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The route moved to this generation.
    Ready(GenerationNumber),
    /// It failed.
    Failed(Failure),
    /// A newer revision took its place.
    Superseded(RevisionNumber),
}

impl Told {
    /// How the attempt ended, if this is its end.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.clone() {
            Self::Accepted | Self::Starting(_) => None,
            Self::Ready(generation) => Some(Outcome::Ready(generation)),
            Self::Failed(failure, _) => Some(Outcome::Failed(failure)),
            Self::Superseded(by) => Some(Outcome::Superseded(by)),
        }
    }
}

/// The request with this id.
pub fn find<'a>(requests: &'a VecDeque<Request>, id: &str) -> Option<&'a Request> {
    requests.iter().find(|request| request.id == id)
}

/// Remembers a request and forgets the oldest beyond [`REQUESTS_KEPT`].
pub fn remember(requests: &mut VecDeque<Request>, request: Request) {
    requests.push_back(request);
    if requests.len() > REQUESTS_KEPT {
        requests.pop_front();
    }
}

/// Notes how the request for this revision ended.
pub fn settle(requests: &mut VecDeque<Request>, revision: RevisionNumber, outcome: &Outcome) {
    let open = |request: &&mut Request| request.revision == revision && request.outcome.is_none();
    if let Some(request) = requests.iter_mut().find(open) {
        request.outcome = Some(outcome.clone());
    }
}
