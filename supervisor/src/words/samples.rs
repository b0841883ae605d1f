//! Words for tests: one plausible value each, to be changed where a test cares.

use std::{collections::BTreeMap, time::Duration, time::SystemTime};

use super::{
    ArtifactRef, ArtifactSource, CallsInFlight, Command, CommandKind, Digest, EnvironmentStatus, GenerationPhase,
    GenerationStatus, Limits, Phase, Revision, RevisionSpec,
};

/// A spec with one artifact that runs the module `server`.
pub fn spec() -> RevisionSpec {
    RevisionSpec {
        artifacts: vec![ArtifactRef { digest: Digest::from_bytes([7; 32]), source: ArtifactSource::Store }],
        command: Command { kind: CommandKind::Module("server".to_owned()), args: Vec::new() },
        env: BTreeMap::new(),
        limits: Limits::default(),
        interpreter: None,
        start_timeout: Duration::from_secs(180),
        health_service: String::new(),
        drain_timeout: Duration::from_secs(30),
        terminate_timeout: Duration::from_secs(10),
        label: String::new(),
    }
}

/// An environment whose first generation serves its first revision.
pub fn serving(name: &str) -> EnvironmentStatus {
    EnvironmentStatus {
        name: name.parse().expect("a good name"),
        version: 4,
        born: 1,
        phase: Phase::Serving,
        phase_since: SystemTime::UNIX_EPOCH,
        newest: 1,
        serving: Some(1),
        deploying: None,
        previous: None,
        generations: vec![generation()],
        last_failure: None,
        restarts: 0,
        next_restart: None,
        socket: "/var/lib/pexvisor/doors/0.sock".to_owned(),
        revision: Some(Revision { number: 1, spec: spec(), image: "image:1".to_owned() }),
    }
}

fn generation() -> GenerationStatus {
    GenerationStatus {
        number: 1,
        revision: 1,
        phase: GenerationPhase::Serving,
        pid: 42,
        started: SystemTime::UNIX_EPOCH,
        ready: Some(SystemTime::UNIX_EPOCH),
        ended: None,
        calls_in_flight: CallsInFlight::counted_by(|| 2),
        exit: None,
    }
}
