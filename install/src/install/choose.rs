//! Choosing the interpreter: the first that every artifact fits. An artifact that is installed for one fits it.

use super::{InstallError, installed, open};
use crate::{
    interpreter::Interpreter,
    manifest::Manifest,
    pex::{self, Pex},
    request::InstallRequest,
};

/// The interpreter, and per artifact what is there already and which distributions it takes.
pub(super) struct Choice {
    pub interpreter: Interpreter,
    pub installed: Vec<Option<Manifest>>,
    /// Indices into the pex's distributions; empty where the artifact is installed.
    pub dists: Vec<Vec<usize>>,
}

/// Chooses. Opens only the artifacts that are not installed, and each only once.
pub(super) fn choose(request: &InstallRequest, opened: &mut [Option<Pex>]) -> Result<Choice, InstallError> {
    let mut tried = String::new();
    for interpreter in &request.interpreters {
        match fit(request, interpreter, opened)? {
            Ok(choice) => return Ok(choice),
            Err(why) => tried.push_str(&format!("\n  {} does not fit: {why}", interpreter.describe())),
        }
    }
    if request.interpreters.is_empty() {
        tried.push_str(" there is no Python 3 in this container");
    }
    Err(InstallError::NoInterpreter { tried })
}

/// The inner error says why the interpreter does not fit.
fn fit(
    request: &InstallRequest,
    interpreter: &Interpreter,
    opened: &mut [Option<Pex>],
) -> Result<Result<Choice, String>, InstallError> {
    let mut choice = Choice { interpreter: interpreter.clone(), installed: Vec::new(), dists: Vec::new() };
    for (at, artifact) in request.artifacts.iter().enumerate() {
        let there = installed(request, artifact, interpreter);
        let mut dists = Vec::new();
        if there.is_none() {
            let pex = open(opened, at, artifact, &request.staging)?;
            match pex::resolve(pex, interpreter) {
                Ok(found) => dists = found,
                Err(why) => return Ok(Err(format!("artifact {}: {why}", artifact.digest))),
            }
        }
        choice.installed.push(there);
        choice.dists.push(dists);
    }
    Ok(Ok(choice))
}
