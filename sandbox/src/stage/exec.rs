//! Step: become the program, with exactly the arguments and environment of the orders.

use std::{
    convert::Infallible,
    ffi::{CString, NulError},
    io,
    os::unix::ffi::OsStrExt,
};

use crate::spec::Program;

pub(super) fn become_program(program: &Program) -> io::Result<Infallible> {
    let path = CString::new(program.path.as_os_str().as_bytes())?;
    let args = program.args.iter().map(|arg| CString::new(arg.as_str()));
    let argv = std::iter::once(Ok(path.clone())).chain(args).collect::<Result<Vec<_>, NulError>>()?;
    let env = program.env.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
    let env = env.collect::<Result<Vec<_>, NulError>>()?;
    Ok(nix::unistd::execve(&path, &argv, &env)?)
}
