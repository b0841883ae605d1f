//! One step of a deploy.

use pexvisor_proto::v1::{self, deploy_event as wire};

use super::{failure, timestamp};
use crate::{
    environment::{Step, StepEvent},
    words::Timings,
};

/// A DeployEvent.
pub fn event(step: Step) -> v1::DeployEvent {
    let Step { sequence, time, environment, revision, event: happened } = step;
    v1::DeployEvent {
        sequence,
        time: Some(timestamp(time)),
        environment: environment.into(),
        revision,
        event: Some(body(happened)),
    }
}

fn body(event: StepEvent) -> wire::Event {
    match event {
        StepEvent::Accepted => wire::Event::Accepted(wire::Accepted {}),
        StepEvent::Fetching { digest, bytes, total, cached } => wire::Event::Fetching(wire::Fetching {
            sha256: digest.into(),
            bytes,
            bytes_total: total.unwrap_or(0),
            cached,
        }),
        StepEvent::Installing { digest, cached, done } => {
            wire::Event::Installing(wire::Installing { sha256: digest.into(), cached, done })
        }
        StepEvent::Starting { generation } => wire::Event::Starting(wire::Starting { generation }),
        StepEvent::Ready { generation, timings: times } => {
            wire::Event::Ready(wire::Ready { generation, timings: Some(timings(times)) })
        }
        StepEvent::Failed { failure: why, still_serving } => wire::Event::Failed(wire::Failed {
            failure: Some(failure(why)),
            still_serving_generation: still_serving.unwrap_or(0),
        }),
        StepEvent::Superseded { by } => wire::Event::Superseded(wire::Superseded { by_revision: by }),
    }
}

fn timings(timings: Timings) -> v1::Timings {
    let Timings { accept_us, fetch_us, install_us, start_us, cut_over_us, total_us } = timings;
    v1::Timings { accept_us, fetch_us, install_us, start_us, cut_over_us, total_us }
}
