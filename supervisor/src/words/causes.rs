//! An error as one sentence: its own text and that of each of its causes.

use std::error::Error;

/// The text of an error and of its sources, from the outside in.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
