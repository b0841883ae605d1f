//! The stage program of this crate's tests: what `pexvisor stage` is to the supervisor.

use std::process::ExitCode;

fn main() -> ExitCode {
    pexvisor_sandbox::stage_main()
}
