//! Which scripts an install has: of several with one name the first in pex order, as pex itself does.

use std::collections::{BTreeMap, btree_map};

use super::layout::Layout;
use crate::{
    manifest::{Collision, Script},
    pex::{Dist, Scheme},
    venv,
};

/// A script and the index of its distribution among the chosen.
pub(super) struct Owned {
    pub script: Script,
    pub owner: usize,
}

impl Layout<'_> {
    /// The scripts by name, and the names that several distributions claim.
    pub(super) fn scripts(&self) -> (BTreeMap<String, Owned>, Vec<Collision>) {
        let (mut scripts, mut collisions) = (BTreeMap::new(), Vec::new());
        for (owner, &at) in self.chosen.iter().enumerate() {
            let dist = &self.pex.dists[at];
            for (name, script) in of_dist(dist).filter(|(name, _)| venv::is_script_name(name)) {
                match scripts.entry(name) {
                    btree_map::Entry::Vacant(free) => {
                        free.insert(Owned { script, owner });
                    }
                    btree_map::Entry::Occupied(taken) if taken.get().script != script => collisions.push(Collision {
                        path: format!("bin/{}", taken.key()),
                        kept: self.pex.dists[self.chosen[taken.get().owner]].file_name.clone(),
                        dropped: dist.file_name.clone(),
                    }),
                    btree_map::Entry::Occupied(_) => {}
                }
            }
        }
        (scripts, collisions)
    }
}

/// A distribution's raw scripts, then its entry points; an entry point replaces a raw script of its name.
fn of_dist(dist: &Dist) -> impl Iterator<Item = (String, Script)> {
    let raw = dist.files.iter().filter(|file| file.scheme == Scheme::Scripts);
    let raw = raw.filter(|file| !dist.scripts.contains_key(&file.path)).map(|file| (file.path.clone(), Script::Raw));
    raw.chain(dist.scripts.clone())
}
