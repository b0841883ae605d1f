//! A leaf where the container allows no cgroup: the processes are found by descent, session and a mark in their
//! environment. Best effort: a program that clears its environment, forks twice and begins a session gets away.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::CgroupError;
use crate::{
    kill::kill_all,
    stray::{self, Marker, Root},
};

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
        let roots = self.known().roots.clone();
        let Ok(killed) = kill_all(|| {
            stray::kill_groups(&roots);
            Ok::<_, Infallible>(self.pids())
        });
        if killed.survivors.is_empty() {
            return Ok(());
        }
        Err(CgroupError::StillAlive { path: "/proc".into(), pids: killed.survivors })
    }
}
