//! What to run and how: plain data, checked when made, so that nothing is left to go wrong but the kernel's answers.
//!
//! Does nothing itself: `launch` reads it, the stage program performs it.

use std::{collections::BTreeMap, os::fd::OwnedFd, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::cgroup::Leaf;

/// Lowest priority there is (setpriority(2)). A spec can only lower the priority: containers refuse the other way.
pub const NICE_MAX: u8 = 19;

/// The program and what it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The executable, absolute; also `argv[0]`.
    pub path: PathBuf,
    /// The arguments after `argv[0]`.
    pub args: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// The working directory, absolute.
    pub cwd: PathBuf,
}

/// The user and group the program runs as, without supplementary groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
}

/// A program, its box and its three descriptors.
#[derive(Debug)]
pub struct Spec {
    pub(crate) orders: Orders,
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    pub(crate) leaf: Option<Leaf>,
}

/// The part of a spec that goes down the socket to the stage program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub program: Program,
    pub open_files_max: Option<u32>,
    pub open_files_soft: Option<u64>,
    pub ids: Option<Ids>,
    pub nice: u8,
}

/// A spec that no kernel could perform.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadSpec {
    /// The kernel cannot take a NUL byte inside a string.
    #[error("{what} holds a NUL byte")]
    NulByte {
        /// Which string.
        what: String,
    },
    /// A relative path would depend on where the supervisor stands.
    #[error("{what} {path:?} is not an absolute UTF-8 path")]
    NotAbsolute {
        /// Which path.
        what: &'static str,
        /// The path given.
        path: PathBuf,
    },
    /// Not a name that an environment variable can have.
    #[error("{name:?} is no name for an environment variable")]
    BadVariable {
        /// The name given.
        name: String,
    },
}

impl Spec {
    /// A spec that runs `program` outside of any leaf, with /dev/null for stdin, stdout and stderr.
    ///
    /// # Errors
    /// [`BadSpec`] for relative paths, NUL bytes and impossible variable names.
    pub fn new(program: Program) -> Result<Self, BadSpec> {
        check(&program)?;
        let orders = Orders { program, open_files_max: None, open_files_soft: None, ids: None, nice: 0 };
        Ok(Self { orders, stdin: None, stdout: None, stderr: None, leaf: None })
    }

    /// Reads standard input from `stdin`.
    #[must_use]
    pub fn with_stdin(self, stdin: OwnedFd) -> Self {
        Self { stdin: Some(stdin), ..self }
    }

    /// Writes to `stdout` and `stderr`. They are open in this process until the spec is dropped.
    #[must_use]
    pub fn with_output(self, stdout: OwnedFd, stderr: OwnedFd) -> Self {
        Self { stdout: Some(stdout), stderr: Some(stderr), ..self }
    }

    /// Joins `leaf` before its first instruction.
    #[must_use]
    pub fn in_leaf(self, leaf: &Leaf) -> Self {
        Self { leaf: Some(leaf.clone()), ..self }
    }

    /// Runs as `ids`.
    #[must_use]
    pub fn with_ids(mut self, ids: Ids) -> Self {
        self.orders.ids = Some(ids);
        self
    }

    /// Allows `count` open files per process, as soft and hard limit; more than our own hard limit fails the launch.
    #[must_use]
    pub fn with_open_files_max(mut self, count: u32) -> Self {
        self.orders.open_files_max = Some(count);
        self
    }

    /// Gives it `count` as soft limit of open files where [`Self::with_open_files_max`] does not, and our own hard limit.
    #[must_use]
    pub fn with_open_files_soft(mut self, count: u64) -> Self {
        self.orders.open_files_soft = Some(count);
        self
    }

    /// Lowers the priority by `nice`, 0 to [`NICE_MAX`]; more counts as [`NICE_MAX`].
    #[must_use]
    pub fn with_nice(mut self, nice: u8) -> Self {
        self.orders.nice = nice.min(NICE_MAX);
        self
    }

    /// What is run.
    pub fn program(&self) -> &Program {
        &self.orders.program
    }
}

fn check(program: &Program) -> Result<(), BadSpec> {
    for (what, path) in [("the program", &program.path), ("the working directory", &program.cwd)] {
        let text = path.to_str().filter(|_| path.is_absolute());
        let text = text.ok_or_else(|| BadSpec::NotAbsolute { what, path: path.clone() })?;
        no_nul(what, text)?;
    }
    for (index, arg) in program.args.iter().enumerate() {
        no_nul(&format!("argument {}", index + 1), arg)?;
    }
    for (name, value) in &program.env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(BadSpec::BadVariable { name: name.clone() });
        }
        no_nul(&format!("the variable {name}"), value)?;
    }
    Ok(())
}

fn no_nul(what: &str, text: &str) -> Result<(), BadSpec> {
    if text.contains('\0') { Err(BadSpec::NulByte { what: what.to_owned() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        Program { path: "/bin/true".into(), args: Vec::new(), env: BTreeMap::new(), cwd: "/".into() }
    }

    #[test]
    fn a_good_program_makes_a_spec() {
        assert!(Spec::new(program()).is_ok());
    }

    #[test]
    fn what_the_kernel_cannot_take_is_refused() {
        let with_env = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let bad = [
            Program { path: "true".into(), ..program() },
            Program { path: "/bin/tr\0ue".into(), ..program() },
            Program { cwd: "here".into(), ..program() },
            Program { args: vec!["a\0b".into()], ..program() },
            Program { env: with_env("", "x"), ..program() },
            Program { env: with_env("A=B", "x"), ..program() },
            Program { env: with_env("A", "x\0"), ..program() },
        ];
        for program in bad {
            assert!(Spec::new(program.clone()).is_err(), "{program:?}");
        }
    }
}
