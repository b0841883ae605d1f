//! Words to wire: what the supervisor knows, as the messages of supervisor.proto. Translates and adds nothing.

mod change;
mod environment;
mod failure;
mod line;
mod revision;
mod stage;
mod step;

pub use change::change;
pub use environment::environment;
pub use failure::failure;
pub use line::line;
pub use stage::stage_progress;
pub use step::event;

use std::time::{Duration, SystemTime};

/// A time as the wire has it.
pub fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    time.into()
}

/// A duration as the wire has it.
fn duration(duration: Duration) -> prost_types::Duration {
    duration.try_into().expect("every duration of ours is at most an hour")
}
