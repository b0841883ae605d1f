//! Asking a Python what it is. Starts no process itself.

use std::path::{Path, PathBuf};

use super::Interpreter;

/// Printed by every Python 3 as one JSON object.
const SCRIPT: &str = include_str!("probe.py");

/// Oldest Python that pexvisor serves: older ones lack what the venv's start-up line needs.
const OLDEST: (u32, u32) = (3, 7);

/// What an interpreter printed is no use.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No JSON of the probe in it.
    #[error("read what {path:?} says of itself")]
    Unreadable {
        /// The interpreter.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It is too old.
    #[error("use {path:?}: it is Python {found}, pexvisor needs {}.{} or newer", OLDEST.0, OLDEST.1)]
    TooOld {
        /// The interpreter.
        path: PathBuf,
        /// Its version.
        found: String,
    },
}

/// The argv that makes `python` print what it is. It runs no site code (`-I -S`) and ends within about 50 ms;
/// give it 10 s and an empty environment.
pub fn probe_command(python: &Path) -> Vec<std::ffi::OsString> {
    vec![python.into(), "-I".into(), "-S".into(), "-c".into(), SCRIPT.into()]
}

/// Reads the probe's stdout. `asked` is the path given to [`probe_command`]; it is kept unless Python names its
/// base interpreter (for a venv's python that is another file).
///
/// # Errors
/// When the output is not the probe's, or Python is too old.
pub fn parse_probe(asked: &Path, stdout: &[u8]) -> Result<Interpreter, ProbeError> {
    let mut found: Interpreter = serde_json::from_slice(stdout)
        .map_err(|source| ProbeError::Unreadable { path: asked.to_path_buf(), source })?;
    if !found.path.is_absolute() {
        found.path = asked.to_path_buf();
    }
    if (found.version.0, found.version.1) < OLDEST {
        let version = found.markers.python_full_version;
        return Err(ProbeError::TooOld { path: asked.to_path_buf(), found: version });
    }
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The system's Python, probed as a supervisor would.
    pub(crate) fn system_python() -> Interpreter {
        run_probe(Path::new("/usr/bin/python3"))
    }

    #[expect(clippy::disallowed_methods, reason = "a test has no reaper")]
    fn run_probe(python: &Path) -> Interpreter {
        let argv = probe_command(python);
        let output = std::process::Command::new(&argv[0]).args(&argv[1..]).output().expect("python starts");
        parse_probe(python, &output.stdout).expect("a Python 3")
    }

    #[test]
    fn the_system_python_tells_what_it_is() {
        let python = system_python();
        assert_eq!(python.implementation, "cpython");
        assert_eq!(python.version.0, 3);
        assert!(python.stdlib.iter().any(|dir| dir.join("os.py").exists()), "{:?}", python.stdlib);
        assert_eq!(python.markers.sys_platform, "linux");
    }

    #[test]
    fn a_venvs_python_names_its_base() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let venv = dir.path().join("venv");
        make_venv(&venv);
        let python = run_probe(&venv.join("bin/python"));
        assert!(!python.path.starts_with(dir.path()), "{:?}", python.path);
        assert_eq!(python.key(), system_python().key());
    }

    #[expect(clippy::disallowed_methods, reason = "a test has no reaper")]
    fn make_venv(venv: &Path) {
        let status = std::process::Command::new("/usr/bin/python3")
            .args(["-m", "venv", "--without-pip"])
            .arg(venv)
            .status()
            .expect("python starts");
        assert!(status.success());
    }

    #[test]
    fn an_old_python_is_refused_by_its_version() {
        let mut python = serde_json::to_value(system_python()).expect("plain data");
        python["version"] = serde_json::json!([3, 5, 1]);
        python["markers"]["python_full_version"] = "3.5.1".into();
        let said = parse_probe(Path::new("/old"), python.to_string().as_bytes()).expect_err("3.5").to_string();
        assert!(said.contains("3.5.1"), "{said}");
    }
}
