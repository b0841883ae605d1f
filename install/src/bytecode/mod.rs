//! Byte code for installed trees: unchecked-hash .pyc beside the sources, made by the interpreter that will use them.
//!
//! Files that were read since they were installed come first, as those are what a start really imports. Python only
//! compiles (`-I -S`, empty environment): it imports and runs nothing of the tree. Every .pyc is renamed into place,
//! so the job may be killed at any time and asked again.

mod sources;
mod worker;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use crate::{
    request::{CompileRequest, Event, FailureKind},
    tree,
};

/// In the root of a tree whose sources all have byte code (or cannot have any).
const MARK: &str = ".compiled";

/// Compiled files between two progress events.
const PROGRESS_FILES: u64 = 256;

/// What a compile request came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// Files compiled now.
    pub compiled: u64,
    /// Files that Python cannot compile.
    pub broken: u64,
    /// Files left out because of `files_max`.
    pub left: u64,
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
    let mut sources = Vec::new();
    for tree in request.trees.iter().filter(|tree| !is_compiled(tree)) {
        let failed = |source| CompileError::Tree { path: tree.clone(), source };
        sources.extend(sources::without_byte_code(tree, tag).map_err(failed)?);
    }
    sources::sort_by_use(&mut sources);
    let wanted = if request.files_max == 0 { sources.len() } else { request.files_max.min(sources.len()) };
    let left = (sources.len() - wanted) as u64;
    sources.truncate(wanted);
    let mut done = run(request, &sources, tell)?;
    done.left = left;
    if left == 0 {
        // A mark that cannot be set only costs another look.
        request.trees.iter().for_each(|tree| drop(fs::write(tree.join(MARK), "")));
    }
    Ok(done)
}

fn run(
    request: &CompileRequest,
    sources: &[sources::Source],
    tell: &(dyn Fn(Event) + Sync),
) -> Result<Compiled, CompileError> {
    let processes = match request.processes {
        0 => tree::cores().saturating_sub(1).max(1),
        asked => asked.min(tree::cores()),
    };
    let counted = AtomicU64::new(0);
    let count = || {
        let files = counted.fetch_add(1, Ordering::Relaxed) + 1;
        if files.is_multiple_of(PROGRESS_FILES) {
            tell(Event::Progress { files, files_total: sources.len() as u64, wheels_cached: 0, wheels_total: 0 });
        }
    };
    // Interleaved, so that all workers are at the most used files first.
    let shares = (0..processes).map(|at| sources.iter().skip(at).step_by(processes).collect::<Vec<_>>());
    let results: Vec<Result<Compiled, CompileError>> = thread::scope(|scope| {
        let workers: Vec<_> = shares
            .filter(|share| !share.is_empty())
            .map(|share| scope.spawn(move || worker::compile_all(&request.interpreter.path, &share, &count)))
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect()
    });
    results.into_iter().try_fold(Compiled::default(), |sum, share| {
        let share = share?;
        Ok(Compiled { compiled: sum.compiled + share.compiled, broken: sum.broken + share.broken, left: 0 })
    })
}
