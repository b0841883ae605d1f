//! An environment and its generations.

use pexvisor_proto::v1;

use super::{failure, failure::exit, revision, timestamp};
use crate::words::{EnvironmentStatus, GenerationPhase, GenerationStatus, Phase, Revision};

/// An Environment.
pub fn environment(status: EnvironmentStatus) -> v1::Environment {
    let EnvironmentStatus {
        name,
        version,
        born: _,
        phase: now,
        phase_since,
        newest,
        serving,
        deploying,
        previous,
        generations,
        last_failure,
        restarts,
        next_restart,
        socket,
        revision: contents,
    } = status;
    let (spec, image) = contents.map(|Revision { number: _, spec, image }| (spec, image)).unzip();
    v1::Environment {
        name: name.into(),
        version,
        phase: phase(now).into(),
        phase_since: Some(timestamp(phase_since)),
        newest_revision: newest,
        serving_revision: serving.unwrap_or(0),
        deploying_revision: deploying.unwrap_or(0),
        previous_revision: previous.unwrap_or(0),
        generations: generations.iter().map(generation).collect(),
        last_failure: last_failure.map(failure),
        restarts,
        next_restart: next_restart.map(timestamp),
        socket,
        revision: spec.map(revision::spec),
        image: image.unwrap_or_default(),
    }
}

fn generation(status: &GenerationStatus) -> v1::Generation {
    let GenerationStatus { number, revision, phase, pid, started, ready, ended, ref calls_in_flight, exit: end } =
        *status;
    v1::Generation {
        number,
        revision,
        phase: generation_phase(phase).into(),
        pid,
        started: Some(timestamp(started)),
        ready: ready.map(timestamp),
        ended: ended.map(timestamp),
        calls_in_flight: calls_in_flight.now(),
        exit: end.map(exit),
    }
}

fn phase(phase: Phase) -> v1::Phase {
    match phase {
        Phase::Deploying => v1::Phase::Deploying,
        Phase::Serving => v1::Phase::Serving,
        Phase::Restarting => v1::Phase::Restarting,
        Phase::CrashLoop => v1::Phase::CrashLoop,
        Phase::Failed => v1::Phase::Failed,
        Phase::Stopping => v1::Phase::Stopping,
        Phase::Stopped => v1::Phase::Stopped,
    }
}

fn generation_phase(phase: GenerationPhase) -> v1::GenerationPhase {
    match phase {
        GenerationPhase::Starting => v1::GenerationPhase::Starting,
        GenerationPhase::Serving => v1::GenerationPhase::Serving,
        GenerationPhase::Draining => v1::GenerationPhase::Draining,
        GenerationPhase::Terminating => v1::GenerationPhase::Terminating,
        GenerationPhase::Ended => v1::GenerationPhase::Ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::samples;

    #[test]
    fn a_serving_environment_is_shown_with_zeroes_for_what_there_is_not() {
        let shown = environment(samples::serving("etl"));
        assert_eq!((shown.name.as_str(), shown.phase()), ("etl", v1::Phase::Serving));
        assert_eq!((shown.serving_revision, shown.deploying_revision, shown.previous_revision), (1, 0, 0));
        assert_eq!(shown.generations[0].phase(), v1::GenerationPhase::Serving);
        assert_eq!((shown.image.as_str(), shown.next_restart), ("image:1", None));
    }

    #[test]
    fn no_phase_is_shown_as_unspecified() {
        let phases = [Phase::Deploying, Phase::Serving, Phase::Restarting, Phase::CrashLoop];
        let later = [Phase::Failed, Phase::Stopping, Phase::Stopped];
        let shown: Vec<_> = phases.into_iter().chain(later).map(|it| i32::from(phase(it))).collect();
        assert_eq!(shown, [1, 2, 3, 4, 5, 6, 7]);
    }
}
