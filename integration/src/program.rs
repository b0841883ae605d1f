//! Programs that a test runs beside pexvisor: grpcurl, Python clients. Output and status come back together.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::pexes::checkout;

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Ran {
    /// Asserts exit code 0; gives stdout.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }
}

/// A tool or environment that `make setup` makes, by its path under `target/`.
pub fn tool(path: &str) -> PathBuf {
    let tool = checkout().join("target").join(path);
    assert!(tool.exists(), "{} is missing: run `make setup`", tool.display());
    tool
}

/// A program built in this checkout: `$<ENV>` or `target/debug/<name>`.
pub fn built(name: &str, env: &str) -> PathBuf {
    std::env::var_os(env).map_or_else(|| checkout().join("target/debug").join(name), PathBuf::from)
}

/// Runs a program to its end, off the async threads.
pub async fn run<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Ran {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tokio::task::spawn_blocking(move || {
        let child = command.spawn().unwrap_or_else(|e| panic!("start {command:?}: {e}"));
        let output = child.wait_with_output().expect("read a program's output");
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    })
    .await
    .expect("the thread that runs a program does not panic")
}

/// Runs a script of `integration/clients/` with the Python that has the gRPC and Dagster clients.
pub async fn python(script: &str, args: &[&str]) -> Ran {
    let script = checkout().join("integration/clients").join(script);
    let script = script.to_string_lossy().into_owned();
    run(tool("venv/bin/python"), std::iter::once(script.as_str()).chain(args.iter().copied())).await
}
