//! Which artifacts must stay: those of revisions that serve, served last or are on their way.
//!
//! A hold is a value: whoever has it keeps the artifact on disk, and dropping it lets go.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::words::Digest;

/// How many hold each artifact.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    counts: Arc<Mutex<HashMap<Digest, usize>>>,
}

/// Keeps these artifacts, their installs and their venvs on disk as long as it lives.
#[derive(Debug)]
pub struct Hold {
    holds: Holds,
    digests: Vec<Digest>,
}

/// The holds of one instant; none is taken while it lives.
pub struct Frozen<'a>(MutexGuard<'a, HashMap<Digest, usize>>);

impl Holds {
    /// Holds these artifacts, whether they are on disk yet or not.
    pub fn hold(&self, digests: impl IntoIterator<Item = Digest>) -> Hold {
        let digests: Vec<Digest> = digests.into_iter().collect();
        let mut counts = self.lock();
        digests.iter().for_each(|digest| *counts.entry(*digest).or_default() += 1);
        drop(counts);
        Hold { holds: self.clone(), digests }
    }

    /// Stops the taking of holds, so that what is found free stays free meanwhile. Keep it for a rename, not longer.
    pub fn freeze(&self) -> Frozen<'_> {
        Frozen(self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Frozen<'_> {
    /// Whether nobody holds this artifact.
    pub fn is_free(&self, digest: Digest) -> bool {
        !self.0.contains_key(&digest)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut counts = self.holds.lock();
        for digest in &self.digests {
            match counts.get_mut(digest) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(counts.remove(digest)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_free_when_its_last_holder_lets_go() {
        let holds = Holds::default();
        let digest = Digest::from_bytes([1; 32]);
        let first = holds.hold([digest]);
        let second = holds.hold([digest, digest]);
        drop(first);
        assert!(!holds.freeze().is_free(digest));
        drop(second);
        assert!(holds.freeze().is_free(digest));
    }
}
