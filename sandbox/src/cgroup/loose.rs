//! A leaf where the container allows no cgroup: the processes are found by descent, session and a mark in their
//! environment. Best effort: a program that clears its environment, forks twice and begins a session gets away.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{CgroupError, EMPTY_WAIT_MAX, group::wait_until};
use crate::stray::{self, Marker, Root};

/// What is known of the processes.
#[derive(Debug)]
pub(super) struct Leaf {
    /// The variable whose value tells this leaf from all others.
    variable: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    roots: Vec<Root>,
    marker: Option<Marker>,
}

impl Leaf {
    pub fn new(variable: &str) -> Self {
        Self { variable: variable.to_owned(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn recognise_by(&self, env: &BTreeMap<String, String>) {
        let marker = env.get(&self.variable).map(|value| Marker::exact(&self.variable, value));
        self.known().marker = marker;
    }

    pub fn add(&self, pid: i32) {
        self.known().roots.extend(Root::of(pid));
    }

    pub fn pids(&self) -> Vec<i32> {
        let known = self.known();
        stray::find(&known.roots, known.marker.as_ref())
    }

    pub fn kill(&self) -> Result<(), CgroupError> {
        let mut left = Vec::new();
        let empty = wait_until(EMPTY_WAIT_MAX, || {
            left = self.pids();
            left.iter().for_each(|pid| super::group::kill(*pid));
            left.is_empty()
        });
        if empty { Ok(()) } else { Err(CgroupError::StillAlive { path: "/proc".into(), pids: left }) }
    }
}
