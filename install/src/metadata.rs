//! The two metadata files of a distribution that matter: METADATA and entry_points.txt.
//!
//! Read tolerantly, as every installer does: lines that make no sense are skipped.

use std::collections::BTreeMap;

use crate::manifest::Script;

/// The headers of METADATA that matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub name: String,
    pub version: String,
    pub requires_python: Option<String>,
    pub requires_dist: Vec<String>,
}

impl Metadata {
    /// Reads the headers, up to the first empty line.
    pub(crate) fn parse(text: &str) -> Self {
        let mut metadata = Self::default();
        let headers = text.lines().take_while(|line| !line.trim().is_empty());
        for (key, value) in headers.filter_map(|line| line.split_once(':')) {
            let value = value.trim().to_owned();
            match key.to_ascii_lowercase().as_str() {
                "name" => metadata.name = value,
                "version" => metadata.version = value,
                "requires-python" => metadata.requires_python = Some(value),
                "requires-dist" => metadata.requires_dist.push(value),
                _ => {}
            }
        }
        metadata
    }
}

/// The console and gui scripts of an entry_points.txt, by name.
pub(crate) fn scripts(text: &str) -> BTreeMap<String, Script> {
    let mut scripts = BTreeMap::new();
    let mut in_scripts = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            in_scripts = matches!(section.trim(), "console_scripts" | "gui_scripts");
        } else if let (true, Some((name, value))) = (in_scripts, line.split_once('=')) {
            scripts.insert(name.trim().to_owned(), entry_point(value));
        }
    }
    scripts
}

/// `module:attribute [extras]`, without the extras.
fn entry_point(value: &str) -> Script {
    let object = value.split('[').next().unwrap_or(value).trim();
    let (module, attribute) = object.split_once(':').unwrap_or((object, ""));
    Script::EntryPoint { module: module.trim().to_owned(), attribute: attribute.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_at_the_first_empty_line() {
        let text =
            "Name: A.b\r\nVersion: 1\nRequires-Dist: x>=1; extra == 'y'\nrequires-python: >=3.8\n\nRequires-Dist: no\n";
        let metadata = Metadata::parse(text);
        assert_eq!((metadata.name.as_str(), metadata.version.as_str()), ("A.b", "1"));
        assert_eq!(metadata.requires_dist, ["x>=1; extra == 'y'"]);
        assert_eq!(metadata.requires_python.as_deref(), Some(">=3.8"));
    }

    #[test]
    fn only_script_sections_give_scripts() {
        let text = "[other]\na = b:c\n[console_scripts]\nrun = m.n:App.run [extra]\n# no = x:y\n\n[gui_scripts]\ng=m\n";
        let expected = BTreeMap::from([
            ("run".to_owned(), Script::EntryPoint { module: "m.n".into(), attribute: "App.run".into() }),
            ("g".to_owned(), Script::EntryPoint { module: "m".into(), attribute: String::new() }),
        ]);
        assert_eq!(scripts(text), expected);
    }
}
