//! Byte code for installed trees: unchecked-hash .pyc beside the sources, made by the interpreter that will use them.
//!
//! Before a start, what it will import: the program's module, what that imports, and so on, read from the byte code
//! itself. Afterwards everything: files that were read since they were installed come first. Python only compiles
//! (`-I -S`, empty environment): it imports and runs nothing of the tree. Every .pyc is renamed into place, so the job
//! may be killed at any time and asked again.

mod imports;
mod queue;
mod sources;
mod worker;

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use imports::Modules;
use queue::Queue;

use crate::{
    request::{CompileRequest, Event, FailureKind, Wanted},
    tree,
};

/// In the root of a tree whose sources all have byte code (or cannot have any).
const MARK: &str = ".compiled";

/// What a compile request came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// Files compiled now.
    pub compiled: u64,
    /// Files that Python cannot compile.
    pub broken: u64,
}

/// Byte code cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A tree cannot be read.
    #[error("look for sources in {path:?}")]
    Tree {
        /// The tree.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Python does not start.
    #[error("start {python:?} to compile byte code")]
    Start {
        /// The interpreter.
        python: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// There is no room for byte code.
    #[error("write byte code: the disk is full")]
    DiskFull,
}

impl CompileError {
    /// What kind of failure it is.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::DiskFull => FailureKind::DiskFull,
            Self::Tree { .. } | Self::Start { .. } => FailureKind::Internal,
        }
    }
}

/// Whether all of `tree` is compiled: asking again would do nothing.
pub fn is_compiled(tree: &Path) -> bool {
    tree.join(MARK).exists()
}

/// Compiles what the request asks for and lacks byte code. Blocks for seconds to minutes.
///
/// # Errors
/// When a tree cannot be read, Python does not start, or the disk is full. What was compiled until then stays.
pub fn compile(request: &CompileRequest, tell: &(dyn Fn(Event) + Sync)) -> Result<Compiled, CompileError> {
    let tag = &request.interpreter.cache_tag;
    let progress = |files, files_total| tell(Event::Progress { files, files_total, wheels_cached: 0, wheels_total: 0 });
    match &request.wanted {
        Wanted::Everything => {
            let done = run(request, &Queue::of(lacking(request)?, &progress))?;
            // A mark that cannot be set only costs another look.
            request.trees.iter().for_each(|tree| drop(fs::write(tree.join(MARK), "")));
            Ok(done)
        }
        Wanted::ImportedBy(names) => {
            let failed =
                |source| CompileError::Tree { path: request.trees.first().cloned().unwrap_or_default(), source };
            let modules = Modules::of(&request.trees, tag).map_err(failed)?;
            run(request, &Queue::imported_by(names, modules, &progress))
        }
    }
}

/// All sources without byte code, in the order in which they are likely to be needed.
fn lacking(request: &CompileRequest) -> Result<Vec<sources::Source>, CompileError> {
    let mut found = Vec::new();
    for tree in request.trees.iter().filter(|tree| !is_compiled(tree)) {
        let failed = |source| CompileError::Tree { path: tree.clone(), source };
        found.extend(sources::without_byte_code(tree, &request.interpreter.cache_tag).map_err(failed)?);
    }
    sources::sort_by_use(&mut found);
    Ok(found)
}

fn run(request: &CompileRequest, queue: &Queue<'_>) -> Result<Compiled, CompileError> {
    let processes = request.processes.clamp(1, tree::cores());
    let results: Vec<Result<Compiled, CompileError>> = thread::scope(|scope| {
        let work = || worker::work(&request.interpreter.path, queue);
        let workers: Vec<_> = (0..processes).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect()
    });
    results.into_iter().try_fold(Compiled::default(), |sum, share| {
        let share = share?;
        Ok(Compiled { compiled: sum.compiled + share.compiled, broken: sum.broken + share.broken })
    })
}
