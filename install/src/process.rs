//! The installer process: reads the request, does it, tells. Its stdout is for events alone.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::AsFd,
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use crate::{
    bytecode, install,
    request::{Event, FailureKind, Request},
};

/// Bytes of a request: a few interpreters and paths make some kB, a compile request of 1,000 wheels 200 kB.
const REQUEST_BYTES_MAX: u64 = 16 << 20;

/// Permission bits that nothing gets: what is installed is read by other uids and written by none.
const UMASK: nix::sys::stat::Mode = nix::sys::stat::Mode::from_bits_truncate(0o022);

/// Runs the installer process: one request on stdin, events on stdout. Exits 0 after `done` or `compiled`, 1 after
/// `failed`.
pub fn main() -> ExitCode {
    nix::sys::stat::umask(UMASK);
    let out = match io::stdout().as_fd().try_clone_to_owned() {
        Ok(fd) => Mutex::new(File::from(fd)),
        Err(_) => return ExitCode::FAILURE,
    };
    let tell = |event: Event| {
        let mut line = serde_json::to_vec(&event).expect("plain data has a JSON form");
        line.push(b'\n');
        // If nobody listens any more, the supervisor is gone: the work is still worth finishing.
        let _ = out.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
    };
    let last =
        read_request().map_or_else(|message| failed(FailureKind::Internal, message), |request| run(&request, &tell));
    let code = if matches!(last, Event::Failed { .. }) { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    tell(last);
    code
}

fn read_request() -> Result<Request, String> {
    let mut text = Vec::new();
    let read = io::stdin().take(REQUEST_BYTES_MAX).read_to_end(&mut text);
    read.map_err(|error| format!("failed to read the request: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("failed to understand the request: {error}"))
}

fn run(request: &Request, tell: &(dyn Fn(Event) + Sync)) -> Event {
    match request {
        Request::Install(request) => match install::install(request, tell) {
            Ok((interpreter, manifests)) => Event::Done { interpreter: Box::new(interpreter), manifests },
            Err(error) => failed(error.kind(), format!("failed to {}", install::causes(&error))),
        },
        Request::Compile(request) => match bytecode::compile(request, tell) {
            Ok(bytecode::Compiled { compiled, broken }) => Event::Compiled { compiled, broken },
            Err(error) => failed(error.kind(), format!("failed to {}", install::causes(&error))),
        },
    }
}

fn failed(kind: FailureKind, message: String) -> Event {
    Event::Failed { kind, message }
}
