//! The supervisor's layers: a file uses its own folder and lower ones. The `use` lines tell.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use pexvisor_integration::pexes::checkout;

/// Lowest first; folders of one row do not use one another.
const LAYERS: &[&[&str]] = &[
    &["words"],
    &["metrics", "state_dir", "telemetry"],
    &["init"],
    &["door"],
    // Flags name addresses, in the door's words.
    &["config"],
    &["artifact", "code_server"],
    &["route"],
    &["environment"],
    &["control", "proxy", "probes"],
    &["doors"],
    &["main"],
];

fn level(folder: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&folder))
}

fn sources() -> Vec<PathBuf> {
    let mut files = pexvisor_integration::observe::files_under(&checkout().join("supervisor/src"));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files
}

/// The top folder (or file) of the supervisor that a source file belongs to.
fn folder_of(file: &Path) -> String {
    let inside = file.strip_prefix(checkout().join("supervisor/src")).expect("a source of the supervisor");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The folders that a source names as `crate::<folder>`, alone or in braces.
fn used_by(text: &str) -> BTreeSet<String> {
    let word = |text: &str| text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let mut used = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let after = &text[at + "crate::".len()..];
        match after.strip_prefix('{') {
            Some(list) => used.extend(top_names(list).map(word)),
            None => drop(used.insert(word(after))),
        }
    }
    used
}

/// The parts of a brace list between its top-level commas.
fn top_names(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let end = list.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth < 0
    });
    let mut inner = 0;
    list[..end.unwrap_or(list.len())].split(move |c| {
        inner += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && inner == 0
    })
}

#[test]
fn every_folder_of_the_supervisor_has_its_layer() {
    let homeless: BTreeSet<String> =
        sources().iter().map(|file| folder_of(file)).filter(|f| level(f).is_none()).collect();
    assert!(homeless.is_empty(), "say in LAYERS where these belong: {homeless:?}");
}

#[test]
fn a_file_uses_its_own_folder_and_lower_layers_only() {
    let mut wrong = Vec::new();
    for file in sources() {
        let own = folder_of(&file);
        let text = fs::read_to_string(&file).unwrap();
        for used in used_by(&text).into_iter().filter(|used| *used != own) {
            if level(&used).is_some_and(|below| level(&own).is_some_and(|own| below >= own)) {
                wrong.push(format!("{} uses crate::{used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_use_lines_are_read_as_rust_reads_them() {
    let text = "use crate::words::Name;\nuse crate::{init::{Reaper, reap}, door};\nfn f() { crate::route::x() }";
    let used: Vec<String> = used_by(text).into_iter().collect();
    assert_eq!(used, ["door", "init", "route", "words"]);
}
