//! pexvisor: the table of contents. Boot order first, then shutdown order.

#[expect(dead_code, unused_imports, reason = "the environment's driver that uses this face follows")]
mod artifact;
#[expect(dead_code, unused_imports, reason = "the parts that start code servers follow")]
mod code_server;
#[expect(dead_code, reason = "boot follows")]
mod config;
#[expect(dead_code, unused_imports, reason = "the service that translates with these follows")]
mod control;
#[expect(dead_code, unused_imports, reason = "the parts that use these doors follow")]
mod door;
#[expect(dead_code, unused_imports, reason = "the parts that start children follow")]
mod init;
#[expect(dead_code, reason = "the parts that count with these follow")]
#[cfg_attr(not(test), expect(unused_imports, reason = "the parts that count with these follow"))]
mod metrics;
#[cfg_attr(not(test), expect(dead_code, reason = "the boot that starts it follows"))]
mod proxy;
#[cfg_attr(not(test), expect(dead_code, reason = "the parts that use these routes follow"))]
mod route;
#[expect(dead_code, reason = "boot follows")]
mod state_dir;
#[expect(dead_code, reason = "boot follows")]
mod telemetry;
#[expect(dead_code, reason = "the parts that use these words follow")]
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: the stage program is to become another one, and quickly.
    if std::env::args_os().nth(1).is_some_and(|word| word == pexvisor_sandbox::STAGE_ARGUMENT) {
        return pexvisor_sandbox::stage_main();
    }
    if std::env::args_os().nth(1).is_some_and(|word| word == pexvisor_install::ARGUMENT) {
        return pexvisor_install::main();
    }
    ExitCode::SUCCESS
}
