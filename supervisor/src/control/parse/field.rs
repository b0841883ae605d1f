//! A bad field: which one, and what is wrong with it.

use std::time::Duration;

use crate::words::{BadDigest, BadName};

/// A request can never succeed because of one field.
#[derive(Debug, thiserror::Error)]
#[error("read field {field}: {problem}")]
pub struct BadField {
    /// Its path in the request, such as `revision.artifacts[0].sha256`.
    pub field: String,
    problem: Problem,
}

/// What is wrong, and what to give instead.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("it is missing; set it")]
    Missing,
    #[error("set exactly one of {0}")]
    OneOf(&'static str),
    #[error("{0}")]
    Name(BadName),
    #[error("{0}")]
    Digest(BadDigest),
    #[error("at most {max} bytes, without a NUL byte; got {got}")]
    Text { max: usize, got: usize },
    #[error("at most {max} in number; got {got}")]
    Count { max: usize, got: usize },
    #[error("from {min} to {max}; got {got}")]
    Range { min: u64, max: u64, got: u64 },
    #[error("from {} s to {} s; got {got}", .min.as_secs_f64(), .max.as_secs_f64())]
    Duration { min: Duration, max: Duration, got: String },
    #[error("{rule}; got {got:?}")]
    Shape { rule: &'static str, got: String },
}

/// Most of an offending text that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 100;

impl Problem {
    /// A text that breaks a rule; the message shows its start.
    pub fn shape(rule: &'static str, got: &str) -> Self {
        Self::Shape { rule, got: got.chars().take(SHOWN_CHARS_MAX).collect() }
    }

    /// The problem with its field.
    pub fn at(self, field: impl Into<String>) -> BadField {
        BadField { field: field.into(), problem: self }
    }
}

impl BadField {
    /// The same field, seen from the message that holds its message.
    pub fn within(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), ..self }
    }
}

/// Text that fits and can go to a process: no NUL (execve(2) ends strings there).
pub fn bounded(text: &str, max: usize) -> Result<(), Problem> {
    if text.len() > max || text.contains('\0') {
        return Err(Problem::Text { max, got: text.len() });
    }
    Ok(())
}

/// A word that a program takes as an argument: text that is not empty and does not look like an option.
pub fn word(text: &str, max: usize) -> Result<(), Problem> {
    bounded(text, max)?;
    if text.is_empty() {
        return Err(Problem::Missing);
    }
    if text.starts_with('-') {
        return Err(Problem::shape("must not start with -", text));
    }
    Ok(())
}
