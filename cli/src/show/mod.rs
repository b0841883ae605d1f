//! Answers of the supervisor as text and as JSON. Pure: no IO but what [`Progress`] is given to write to.

mod describe;
mod environment;
pub mod json;
mod logs;
mod progress;
mod sentence;
mod table;
mod words;

pub use describe::describe;
pub use environment::environment;
pub use logs::{Prefix, log_line};
pub use progress::Progress;
pub use table::{change, table};
