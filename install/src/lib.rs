//! Turns verified pex files into trees that Python can run: native, parallel, bounded.
//!
//! The crate is two things. `main()` is the installer process (`pexvisor install`): one [`Request`] as JSON on
//! stdin, [`Event`]s as JSON lines on stdout, and then it exits. It is the only place that parses the bytes of a
//! pex, so that the supervisor never does. The rest is plain data and functions which the supervisor calls itself:
//!
//! | call | what it does | cost |
//! |---|---|---|
//! | [`interpreter::candidates`] | paths of the Pythons of this machine, best first | a few `stat`s |
//! | [`interpreter::probe_command`], [`interpreter::parse_probe`] | what to run, and how to read its stdout | pure |
//! | [`Request::Install`] | chooses the interpreter, installs what is missing | milliseconds to a second |
//! | [`Request::Compile`] | byte code for wheels and sources that lack it, recently read files first | seconds, niced |
//! | [`venv::compose`] | a venv out of installs | about 3 ms, blocking |
//! | [`Manifest::load`] | reads what an install holds | one small file |
//!
//! It does no networking, verifies no digest of an artifact, keeps no journal and knows nothing of environments.

pub mod archive;
pub mod bytecode;
mod forest;
mod install;
pub mod interpreter;
mod manifest;
mod metadata;
pub mod pex;
mod process;
mod request;
mod tree;
pub mod venv;

pub use install::{InstallError, install};
pub use interpreter::Interpreter;
pub use manifest::{Collision, InstalledWheel, Manifest, ManifestError, Script};
pub use process::main;
pub use request::{Artifact, CompileRequest, Event, FailureKind, InstallRequest, Request, Wanted};

/// The program's first argument that makes it the installer process.
pub const ARGUMENT: &str = "install";
