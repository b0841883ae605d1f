//! One step of a Stage.

use pexvisor_proto::v1::{self, deploy_event, stage_event};

use crate::artifact::Progress;

/// A StageEvent about one artifact.
pub fn stage_progress(progress: Progress) -> v1::StageEvent {
    let event = match progress {
        Progress::Fetching { digest, bytes, total, cached } => {
            let fetching = deploy_event::Fetching { sha256: digest.into(), bytes, bytes_total: total, cached };
            stage_event::Event::Fetching(fetching)
        }
        Progress::Installing { digest, cached, done } => {
            let installing = deploy_event::Installing { sha256: digest.into(), cached, done };
            stage_event::Event::Installing(installing)
        }
    };
    v1::StageEvent { event: Some(event) }
}
