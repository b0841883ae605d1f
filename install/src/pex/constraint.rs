//! Interpreter constraints of PEX-INFO: `CPython>=3.9,<4`, `>=3.11`, `PyPy`, `CPython[free-threaded]==3.13.*`.

use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};

use crate::interpreter::Interpreter;

/// Whether `interpreter` meets `constraint`.
///
/// # Errors
/// When the constraint makes no sense; the text says why.
pub(super) fn is_met(constraint: &str, interpreter: &Interpreter) -> Result<bool, String> {
    let constraint: String = constraint.chars().filter(|c| !c.is_whitespace()).collect();
    let name_end = constraint.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(constraint.len());
    let (name, rest) = constraint.split_at(name_end);
    let (threads, specifiers) = threads(rest);
    let specifiers = VersionSpecifiers::from_str(specifiers)
        .map_err(|error| format!("interpreter constraint {constraint:?} makes no sense: {error}"))?;
    let own_name = &interpreter.markers.platform_python_implementation;
    let version = version(interpreter).ok_or_else(|| format!("{} has no PEP 440 version", interpreter.describe()))?;
    let name_fits = name.is_empty() || name.eq_ignore_ascii_case(own_name);
    let threads_fit = threads.is_none_or(|wanted| wanted == interpreter.free_threaded);
    Ok(name_fits && threads_fit && specifiers.contains(&version))
}

/// The full version; development builds add a `+` that no specifier knows.
pub(super) fn version(interpreter: &Interpreter) -> Option<Version> {
    Version::from_str(interpreter.markers.python_full_version.trim_end_matches('+')).ok()
}

/// Whether free threads are asked for (`[free-threaded]`, `+t`) or refused (`[gil]`, `-t`), and what follows.
fn threads(text: &str) -> (Option<bool>, &str) {
    let marks = [("[free-threaded]", true), ("+t", true), ("[gil]", false), ("-t", false)];
    let found = marks.iter().find_map(|(mark, wanted)| Some((Some(*wanted), text.strip_prefix(mark)?)));
    found.unwrap_or((None, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::tests_support::python;

    #[test]
    fn names_versions_and_threads_are_honoured() {
        let cpython = python("3.11.2");
        for met in ["CPython>=3.9,<4", ">=3.11", "cpython", "", "==3.11.*", "CPython == 3.11.2", "CPython[gil]>=3.11"] {
            assert_eq!(is_met(met, &cpython), Ok(true), "{met}");
        }
        for unmet in ["PyPy>=3.9", ">=3.12", "CPython<3.11", "~=3.10.0", "CPython[free-threaded]", "CPython+t"] {
            assert_eq!(is_met(unmet, &cpython), Ok(false), "{unmet}");
        }
        assert!(is_met("CPython>>3", &cpython).is_err());
    }
}
