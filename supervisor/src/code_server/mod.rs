//! One code server: its command line, environment, place on disk, start, readiness, output and end.
//!
//! Knows one generation at a time. Which generation should run is decided in `environment`.

mod command;
mod ending;
mod environ;
mod forward;
pub mod health;
mod output;
mod place;
mod readiness;
mod run;
mod socket;

pub use command::Composition;
pub use forward::forward;
pub use output::{Follow, Line, Output, Stream};
pub use place::Place;
pub use run::{Plan, Report, Surroundings, run};
pub use socket::{CodeSocket, ConnectError};
