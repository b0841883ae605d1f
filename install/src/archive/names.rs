//! Which paths an archive may have: each alone, and all together.

use std::{collections::HashMap, sync::Arc};

use super::{
    Entry, EntryProblem, ZipError,
    limits::{DEPTH_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX},
};

/// The path of an entry, checked; a directory's trailing slash is gone.
pub(super) fn check(raw: &[u8]) -> Result<Arc<str>, EntryProblem> {
    let text = std::str::from_utf8(raw).map_err(|_| EntryProblem::BadCharacter)?;
    if text.chars().any(|c| c == '\\' || c.is_control()) {
        return Err(EntryProblem::BadCharacter);
    }
    let path = text.strip_suffix('/').unwrap_or(text);
    if text.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(EntryProblem::Escapes);
    }
    if path.split('/').any(|part| part.is_empty() || part == ".") {
        return Err(EntryProblem::EmptyPart);
    }
    let too_deep = path.len() > PATH_BYTES_MAX
        || path.split('/').count() > DEPTH_MAX
        || path.split('/').any(|part| part.len() > NAME_BYTES_MAX);
    if too_deep { Err(EntryProblem::TooDeep) } else { Ok(path.into()) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    File,
    /// A directory that only other entries' paths name so far.
    Implied,
    Directory,
}

/// Refuses paths that are listed twice, or that are a file to one entry and a directory to another.
pub(super) fn check_together(entries: &[Entry]) -> Result<(), ZipError> {
    let mut seen: HashMap<&str, Seen> = HashMap::with_capacity(entries.len() * 2);
    for entry in entries {
        let kind = if entry.is_file() { Seen::File } else { Seen::Directory };
        match (seen.insert(&entry.path, kind), kind) {
            (None, _) | (Some(Seen::Implied), Seen::Directory) => {}
            (Some(Seen::Implied), _) => return Err(entry.refuse(EntryProblem::FileIsDirectory)),
            (Some(_), _) => return Err(entry.refuse(EntryProblem::Duplicate)),
        }
        check_parents(entry, &mut seen)?;
    }
    Ok(())
}

fn check_parents<'a>(entry: &'a Entry, seen: &mut HashMap<&'a str, Seen>) -> Result<(), ZipError> {
    let mut path: &str = &entry.path;
    while let Some((parent, _)) = path.rsplit_once('/') {
        match seen.get(parent) {
            // Its own parents were entered with it.
            Some(Seen::Implied | Seen::Directory) => break,
            Some(Seen::File) => {
                return Err(ZipError::Entry { entry: parent.into(), problem: EntryProblem::FileIsDirectory });
            }
            None => seen.insert(parent, Seen::Implied),
        };
        path = parent;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_pass_and_directories_lose_their_slash() {
        for (raw, path) in
            [("a/b.py", "a/b.py"), ("a/", "a"), (".deps/é.whl/x", ".deps/é.whl/x"), ("..a/b..", "..a/b..")]
        {
            assert_eq!(check(raw.as_bytes()).as_deref(), Ok(path));
        }
    }

    #[test]
    fn paths_that_no_pex_has_are_refused() {
        let long = "x/".repeat(600);
        let deep = "d/".repeat(70) + "f";
        let wide = "n".repeat(256);
        let cases: [(&[u8], EntryProblem); 14] = [
            (b"../a", EntryProblem::Escapes),
            (b"a/../b", EntryProblem::Escapes),
            (b"/etc/passwd", EntryProblem::Escapes),
            (b"..", EntryProblem::Escapes),
            (b"a\\b", EntryProblem::BadCharacter),
            (b"a\0b", EntryProblem::BadCharacter),
            (b"a\nb", EntryProblem::BadCharacter),
            (b"\xff", EntryProblem::BadCharacter),
            (b"", EntryProblem::EmptyPart),
            (b"a//b", EntryProblem::EmptyPart),
            (b"./a", EntryProblem::EmptyPart),
            (long.as_bytes(), EntryProblem::TooDeep),
            (deep.as_bytes(), EntryProblem::TooDeep),
            (wide.as_bytes(), EntryProblem::TooDeep),
        ];
        for (raw, problem) in cases {
            assert_eq!(check(raw), Err(problem), "{}", String::from_utf8_lossy(raw));
        }
    }
}
