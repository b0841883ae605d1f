//! The supervisor's own log: one line an event on stderr, text or JSON.

use std::io;

use tracing_subscriber::EnvFilter;

/// The variable that holds the filter, such as `info` or `pexvisor=debug`.
const FILTER_VARIABLE: &str = "PEXVISOR_LOG";

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For log collectors.
    Json,
}

/// Sends all events to stderr. Called once, first of all.
pub fn start(form: Form) {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false);
    match form {
        Form::Text => lines.init(),
        Form::Json => lines.json().init(),
    }
}
