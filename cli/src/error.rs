//! What can go wrong for a user of pexctl, and the exit code that says which kind it was.

use std::{error::Error, io, path::PathBuf, process::ExitCode};

use tonic::{Code, Status};

use crate::address::ControlAddress;

/// The table of `pexctl --help`; a test holds it against [`Exit`].
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the deploy failed; its reason is printed, and what served before serves
  2  a flag or value is wrong
  3  no such environment, revision or generation
  4  the state does not allow it, or it changed meanwhile; look, then decide
  5  the supervisor cannot be reached, refuses the caller, or is shutting down
  6  a newer deploy took this one's place
  7  full: a limit of the supervisor is reached
  8  anything else: a defect, or something that this version cannot do";

/// What a library gives as the cause of an error.
type Cause = dyn Error + Send + Sync + 'static;

/// How pexctl ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The deploy failed.
    DeployFailed = 1,
    /// A flag or value is wrong; clap uses the same number.
    Usage = 2,
    /// No such environment, revision or generation.
    NotFound = 3,
    /// The state does not allow it.
    Conflict = 4,
    /// No supervisor answers.
    Unreachable = 5,
    /// A newer deploy took its place.
    Superseded = 6,
    /// A limit is reached.
    Full = 7,
    /// Anything else.
    Other = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not be carried out. Display is a sentence for the person at the shell.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A value that clap could not judge.
    #[error("{0}")]
    Usage(String),
    /// A file of the user's.
    #[error("failed to {doing} {path}: {source}", path = .path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    /// No connection.
    #[error("failed to reach the supervisor at {address}: {}; {}", root(.source.as_ref()), hint(.address, .source.as_ref()))]
    Connect { address: ControlAddress, source: Box<Cause> },
    /// The supervisor answered with a status.
    #[error("{}", message(.0))]
    Status(Status),
    /// A stream ended too early.
    #[error("the supervisor closed the stream before the deploy was over; `pexctl status` shows how it went on")]
    CutShort,
    /// Standard output is closed.
    #[error("failed to write: nobody reads the output any more")]
    ReaderGone,
    /// Standard output cannot be written.
    #[error("failed to write to standard output: {0}")]
    Write(io::Error),
    /// No runtime.
    #[error("failed to start: {0}")]
    Runtime(io::Error),
}

impl Problem {
    /// The exit code for it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::File { .. } => Exit::Usage,
            Self::Connect { .. } | Self::CutShort => Exit::Unreachable,
            Self::Status(status) => of_code(status.code()),
            Self::ReaderGone => Exit::Done,
            Self::Write(_) | Self::Runtime(_) => Exit::Other,
        }
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::ReaderGone } else { Self::Write(error) }
    }
}

fn of_code(code: Code) -> Exit {
    match code {
        Code::Ok => Exit::Done,
        Code::InvalidArgument | Code::OutOfRange => Exit::Usage,
        Code::NotFound => Exit::NotFound,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => Exit::Conflict,
        Code::Unavailable | Code::PermissionDenied | Code::Unauthenticated | Code::DeadlineExceeded => {
            Exit::Unreachable
        }
        Code::ResourceExhausted => Exit::Full,
        Code::Cancelled | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => Exit::Other,
    }
}

fn message(status: &Status) -> String {
    match status.message() {
        "" => format!("the supervisor answered {:?}; its log has more", status.code()),
        text => text.to_owned(),
    }
}

/// The innermost cause: what the kernel said.
fn root(error: &Cause) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn hint(address: &ControlAddress, error: &Cause) -> String {
    let io = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
    match (address, io.map(io::Error::kind)) {
        (ControlAddress::Unix(_), Some(io::ErrorKind::NotFound)) => {
            "is pexvisor running? give its control address with --control or PEXCTL_CONTROL".to_owned()
        }
        (_, Some(io::ErrorKind::ConnectionRefused)) => "nothing listens there: is pexvisor running?".to_owned(),
        (ControlAddress::Unix(_), Some(io::ErrorKind::PermissionDenied)) => {
            "run pexctl as the user that pexvisor runs as, inside its container".to_owned()
        }
        _ => "check --control and whether pexvisor is running".to_owned(),
    }
}

/// An error and what caused it, outermost first.
fn causes(error: &Cause) -> impl Iterator<Item = &(dyn Error + 'static)> {
    fn cause<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        (**error).source()
    }
    std::iter::successors(Some(error as &(dyn Error + 'static)), cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_the_exit_code_that_the_help_names() {
        let cases = [
            (Code::InvalidArgument, 2),
            (Code::NotFound, 3),
            (Code::FailedPrecondition, 4),
            (Code::Aborted, 4),
            (Code::AlreadyExists, 4),
            (Code::Unavailable, 5),
            (Code::PermissionDenied, 5),
            (Code::ResourceExhausted, 7),
            (Code::Unimplemented, 8),
            (Code::Internal, 8),
        ];
        for (code, exit) in cases {
            assert_eq!(Problem::Status(Status::new(code, "x")).exit() as u8, exit, "{code:?}");
        }
    }

    #[test]
    fn the_help_names_every_exit_code_once() {
        let numbers: Vec<_> = EXIT_CODES.lines().skip(1).map(|line| line.trim_start().as_bytes()[0] - b'0').collect();
        assert_eq!(numbers, (0..=Exit::Other as u8).collect::<Vec<_>>());
    }

    #[test]
    fn a_missing_socket_asks_whether_pexvisor_is_running() {
        let address = ControlAddress::Unix("/nowhere.sock".into());
        let source = Box::new(io::Error::from(io::ErrorKind::NotFound));
        let text = Problem::Connect { address, source }.to_string();
        assert!(text.contains("unix:/nowhere.sock") && text.contains("--control"), "{text}");
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let problem = Problem::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(problem.exit(), Exit::Done);
    }
}
