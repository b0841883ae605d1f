//! Words to wire: what the supervisor knows, as the messages of supervisor.proto. Translates and adds nothing.

mod environment;
mod failure;
mod revision;

pub use environment::environment;
pub use failure::failure;

use std::time::{Duration, SystemTime};

/// A time as the wire has it.
pub fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    time.into()
}

/// A duration as the wire has it.
fn duration(duration: Duration) -> prost_types::Duration {
    duration.try_into().expect("every duration of ours is at most an hour")
}
