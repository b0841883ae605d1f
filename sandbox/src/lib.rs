//! The box around a process tree: a cgroup per generation, a start through a stage program, an exit with its reason.
//!
//! A [`Spec`] says what to run; [`launch()`] starts the stage program, which takes on everything the spec asks for and
//! then becomes the program. A [`cgroup::Leaf`] holds the whole tree of processes: it limits, lists and kills them.
//!
//! The box does not know what is in it: no protocol, no async runtime, nothing of Python. It never waits for a child
//! of its own accord: that is one owner's job ([`wait`] has the calls for it).

pub mod cgroup;
mod exit;
mod handover;
mod kill;
mod launch;
pub mod signal;
mod spec;
mod stage;
pub mod stray;
pub mod wait;

pub use exit::{End, Exit};
pub use launch::{LaunchError, Launched, Stage, StageProgram, launch};
pub use spec::{BadSpec, Ids, Program, Spec};
pub use stage::{STAGE_ARGUMENT, StepFailure, stage_main};
