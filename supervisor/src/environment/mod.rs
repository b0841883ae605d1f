//! Environments: what should run, what runs, and how one becomes the other.
//!
//! `step` decides over `state` (pure), `driver` performs (one task per environment), `journal` remembers, `registry` is the face to
//! the doors. Nothing here knows gRPC messages or HTTP.

mod attempt;
mod backoff;
mod changes;
mod driver;
mod generations;
mod journal;
mod orders;
mod perform;
mod progress;
mod registry;
mod requests;
mod state;
mod status;
mod step;
mod world;

pub use changes::{Change, Changes};
pub use journal::{Journal, JournalError};
pub use progress::{Deployment, Step, StepEvent};
pub use registry::{DeployOrder, Registry, RequestError};
pub use world::World;
