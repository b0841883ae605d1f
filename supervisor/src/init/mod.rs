//! PID 1's own duties: start children, wait for every one of them, take the signals, keep memory for itself.
//!
//! Works the same as a plain child of something else. Knows nothing of what the children are.

mod children;
mod oom;
mod open_files;
mod piped;
mod reaper;
pub mod reserve;
mod signals;

pub use children::Process;
pub use oom::OomGuard;
pub use open_files::raise_open_files;
pub use piped::Piped;
pub use reaper::Reaper;
pub use signals::Shutdown;
