//! The sources that the workers share: a list, which grows if it follows the imports of what was compiled.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{imports::Modules, sources::Source};

/// Compiled files between two progress events.
const PROGRESS_FILES: u64 = 256;

/// Gives each source to one worker.
pub(super) struct Queue<'a> {
    state: Mutex<State>,
    changed: Condvar,
    /// Told how many files are done, and how many there are as far as known.
    progress: &'a (dyn Fn(u64, u64) + Sync),
}

struct State {
    /// The next one last.
    waiting: Vec<Source>,
    under_way: usize,
    done: u64,
    modules: Option<Modules>,
}

impl<'a> Queue<'a> {
    /// These sources, in this order.
    pub fn of(mut sources: Vec<Source>, progress: &'a (dyn Fn(u64, u64) + Sync)) -> Self {
        sources.reverse();
        Self::new(State { waiting: sources, under_way: 0, done: 0, modules: None }, progress)
    }

    /// These modules, those that they import, and so on.
    pub fn imported_by(names: &[String], mut modules: Modules, progress: &'a (dyn Fn(u64, u64) + Sync)) -> Self {
        let waiting = names.iter().flat_map(|name| modules.take(name)).collect();
        Self::new(State { waiting, under_way: 0, done: 0, modules: Some(modules) }, progress)
    }

    fn new(state: State, progress: &'a (dyn Fn(u64, u64) + Sync)) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new(), progress }
    }

    /// The next source, for which `done` or `give_up` must be called; nothing when there is none and none can come.
    pub fn take(&self) -> Option<Source> {
        let nothing_yet = |state: &mut State| state.waiting.is_empty() && state.under_way > 0;
        let mut state = self.changed.wait_while(self.lock(), nothing_yet).unwrap_or_else(PoisonError::into_inner);
        let source = state.waiting.pop()?;
        state.under_way += 1;
        Some(source)
    }

    /// One that was taken is done, and imports these.
    pub fn done(&self, imports: &[String]) {
        let mut state = self.lock();
        state.under_way -= 1;
        state.done += 1;
        let State { waiting, modules, done, under_way } = &mut *state;
        if let Some(modules) = modules {
            waiting.extend(imports.iter().flat_map(|name| modules.take(name)));
        }
        let (done, all) = (*done, *done + (waiting.len() + *under_way) as u64);
        self.changed.notify_all();
        drop(state);
        if done.is_multiple_of(PROGRESS_FILES) {
            (self.progress)(done, all);
        }
    }

    /// One that was taken cannot be done, nor can the rest.
    pub fn give_up(&self) {
        let mut state = self.lock();
        state.under_way -= 1;
        state.waiting.clear();
        state.modules = None;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
