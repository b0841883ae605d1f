//! A helper child whose standard input and output are ours: installers and probes.

use std::io::{self, PipeReader, PipeWriter};

use pexvisor_sandbox::{LaunchError, Spec};

use super::{Process, Reaper};

/// A running child and our ends of its pipes.
#[derive(Debug)]
pub struct Piped {
    /// The child.
    pub process: Process,
    /// What we write, it reads; drop it to end its input.
    pub stdin: PipeWriter,
    /// What it writes; ends when the last process that holds the other side has.
    pub stdout: PipeReader,
    /// Its errors, likewise.
    pub stderr: PipeReader,
}

impl Reaper {
    /// Starts `spec` with pipes for its three descriptors. Blocks as [`Reaper::spawn`] does.
    ///
    /// The pipes are blocking ones for `spawn_blocking`. Read stdout and stderr at the same time, or a child that
    /// fills one of them stops.
    ///
    /// # Errors
    /// [`LaunchError`], also when there is no descriptor left for a pipe.
    pub fn spawn_piped(&self, spec: Spec) -> Result<Piped, LaunchError> {
        let pipe = || io::pipe().map_err(LaunchError::HandOver);
        let ((their_stdin, stdin), (stdout, their_stdout), (stderr, their_stderr)) = (pipe()?, pipe()?, pipe()?);
        let spec = spec.with_stdin(their_stdin.into()).with_output(their_stdout.into(), their_stderr.into());
        // The spec goes with this call, and their ends of the pipes with it.
        Ok(Piped { process: self.spawn(&spec)?, stdin, stdout, stderr })
    }
}
