//! A change of one environment.

use pexvisor_proto::v1::{self, watch_event};

use super::environment;
use crate::environment::Change;

/// A WatchEvent.
pub fn change(change: Change) -> v1::WatchEvent {
    let event = match change {
        Change::Changed(status) => watch_event::Event::Changed(environment(*status)),
        Change::Removed(name) => watch_event::Event::Removed(name.into()),
    };
    v1::WatchEvent { event: Some(event) }
}
