//! The last program before the one that is wanted: takes on what the orders ask for, one step after the other.
//!
//! Ordinary single-threaded Rust in a process of its own, so no rule of async-signal safety applies. `run` is the
//! list of steps and their order is a decision: each line says why it stands where it stands. More of the box is more
//! lines.

mod descriptors;
mod directory;
mod exec;
mod ids;
mod oom_score;
mod open_files;
mod priority;
mod session;
mod signals;
mod stdio;
mod umask;

use std::{convert::Infallible, io, os::unix::net::UnixStream, process::ExitCode};

use serde::{Deserialize, Serialize};

use crate::handover;

/// The argument that makes the supervisor's executable a stage program.
pub const STAGE_ARGUMENT: &str = "stage";

/// Exit code of a stage program that failed; a shell says the same of a command it cannot run.
const EXIT_CODE_FAILED: u8 = 126;

/// The step that failed first, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailure {
    /// The step's name.
    pub step: String,
    /// What it worked on, when it is not the process as such.
    pub object: String,
    /// What the kernel said (errno(3)); 0 when it was not the kernel.
    pub errno: i32,
    /// The same in words.
    pub message: String,
}

/// Runs as the stage program: reads the orders from descriptor 0 and becomes the program; returns only in failure.
pub fn stage_main() -> ExitCode {
    let socket = match stdio::take_socket() {
        Ok(socket) => socket,
        Err(error) => {
            eprintln!("pexvisor stage: started by hand? descriptor 0 is no socket: {error}");
            return ExitCode::from(EXIT_CODE_FAILED);
        }
    };
    let Err(failure) = run(&socket);
    if let Err(error) = handover::send_failure(&socket, &failure) {
        eprintln!("pexvisor stage: {failure}; nobody listens: {error}");
    }
    ExitCode::from(EXIT_CODE_FAILED)
}

fn run(socket: &UnixStream) -> Result<Infallible, StepFailure> {
    let (orders, stdin) = handover::receive_orders(socket).map_err(step("receive orders"))?;
    let program = &orders.program;
    signals::reset().map_err(step("reset signals"))?;
    session::begin().map_err(step("begin a session"))?;
    umask::set();
    stdio::set_stdin(stdin).map_err(step("open standard input"))?;
    priority::lower(orders.nice).map_err(step("lower the priority"))?;
    oom_score::raise().map_err(step("raise the OOM score"))?;
    open_files::limit(orders.open_files_max, orders.open_files_soft).map_err(step("limit open files"))?;
    // After what needs rights, before what must be judged by the rights that remain.
    ids::become_user(orders.ids).map_err(step("change user"))?;
    directory::enter(&program.cwd).map_err(step_on("change directory", &program.cwd))?;
    // Last, so that no step opens a descriptor behind it.
    descriptors::close_on_exec().map_err(step("close descriptors"))?;
    exec::become_program(program).map_err(step_on("execute", &program.path))
}

fn step(name: &'static str) -> impl FnOnce(io::Error) -> StepFailure {
    move |error| StepFailure::new(name, String::new(), &error)
}

fn step_on(name: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> StepFailure {
    let object = path.display().to_string();
    move |error| StepFailure::new(name, object, &error)
}

impl StepFailure {
    fn new(step: &str, object: String, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        Self { step: step.to_owned(), object, errno, message: error.to_string() }
    }
}

impl std::fmt::Display for StepFailure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.step)?;
        if !self.object.is_empty() {
            write!(out, " {}", self.object)?;
        }
        write!(out, ": {}", self.message)
    }
}

impl std::error::Error for StepFailure {}
