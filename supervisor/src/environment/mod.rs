//! Environments: what should run, what runs, and how one becomes the other.
//!
//! `step` decides over `state` (pure), `driver` performs (one task per environment), `journal` remembers, `registry` is the face to
//! the doors. Nothing here knows gRPC messages or HTTP.

mod backoff;
mod changes;
mod driver;
mod journal;
mod orders;
mod perform;
mod progress;
mod registry;
mod requests;
mod state;
mod status;
mod step;

pub use changes::{Change, Changes};
pub use driver::World;
pub use journal::{Journal, JournalError};
pub use progress::{Deployment, Step, StepEvent};
pub use registry::{DeployOrder, Registry, RequestError};
