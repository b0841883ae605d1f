//! Artifacts on disk: fetched, verified, installed, composed, and swept when the disk fills up.
//!
//! `Artifacts` is the face; everything else is behind it. Parses no byte of an artifact itself: that is the installer
//! process's work.

mod fetch;
mod flight;
mod places;
mod source;
mod staging;
mod store;

pub use store::{BadLocation, BadStore, Store};
