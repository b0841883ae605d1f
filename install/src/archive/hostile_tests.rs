//! Archives that no tool makes: each is refused, with the entry named.

use std::fs;

use super::{
    Archive, EntryProblem, EntryReader, ZipError,
    crafted::{Crafted, file, zip},
};

const SHEBANG: &[u8] = b"#!/usr/bin/env python3\n";

/// Opens the bytes and reads every file.
fn read_all(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ZipError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("x.pex");
    fs::write(&path, bytes).expect("writable");
    let archive = Archive::open(&path)?;
    let mut reader = EntryReader::default();
    let files = archive.entries().iter().filter(|entry| entry.is_file());
    files.map(|entry| Ok((entry.path.to_string(), reader.with(&archive, entry, <[u8]>::to_vec)?))).collect()
}

fn problem(entries: &[Crafted]) -> Option<EntryProblem> {
    match read_all(&zip(SHEBANG, entries)) {
        Err(ZipError::Entry { problem, .. }) => Some(problem),
        Err(other) => panic!("another error: {other:?}"),
        Ok(_) => None,
    }
}

#[test]
fn an_ordinary_archive_after_a_shebang_is_read() {
    let entries =
        [file("d/", "").with(|dir| dir.mode = 0o040_755), file("d/a", "A"), file("b", vec![7; 9000]).deflated()];
    let files = read_all(&zip(SHEBANG, &entries)).expect("an ordinary archive");
    assert_eq!(files, [("d/a".to_owned(), b"A".to_vec()), ("b".to_owned(), vec![7; 9000])]);
}

#[test]
fn an_archive_whose_offsets_do_not_count_its_prefix_is_read() {
    let bytes = [SHEBANG, &zip(b"", &[file("a", "A")])].concat();
    assert_eq!(read_all(&bytes).expect("as `cat` makes them").len(), 1);
}

#[test]
fn paths_that_leave_the_tree_are_refused() {
    for name in ["../x", "a/../../x", "/etc/x"] {
        assert_eq!(problem(&[file(name, "")]), Some(EntryProblem::Escapes), "{name}");
    }
    assert_eq!(problem(&[file("a\\..\\x", "")]), Some(EntryProblem::BadCharacter));
    assert_eq!(problem(&[file("a\0x", "")]), Some(EntryProblem::BadCharacter));
}

#[test]
fn the_refused_entry_is_named() {
    let said = read_all(&zip(b"", &[file("good", ""), file("a/../../evil", "")])).expect_err("hostile").to_string();
    assert!(said.contains("a/../../evil"), "{said}");
}

#[test]
fn symbolic_links_and_devices_are_refused() {
    for mode in [0o120_777, 0o020_644, 0o060_644, 0o010_644, 0o140_644] {
        assert_eq!(problem(&[file("a", "/etc").with(|entry| entry.mode = mode)]), Some(EntryProblem::Special));
    }
}

#[test]
fn one_path_is_one_thing() {
    assert_eq!(problem(&[file("a", "1"), file("a", "2")]), Some(EntryProblem::Duplicate));
    let dir = |name| file(name, "").with(|entry: &mut Crafted| entry.mode = 0o040_755);
    assert_eq!(problem(&[dir("a/"), dir("a/")]), Some(EntryProblem::Duplicate));
    assert_eq!(problem(&[file("a", ""), dir("a/")]), Some(EntryProblem::Duplicate));
    assert_eq!(problem(&[file("a", ""), file("a/b", "")]), Some(EntryProblem::FileIsDirectory));
    assert_eq!(problem(&[file("a/b", ""), file("a", "")]), Some(EntryProblem::FileIsDirectory));
    assert_eq!(problem(&[file("a/", "").with(|entry| entry.mode = 0o100_644)]), Some(EntryProblem::FileIsDirectory));
    assert_eq!(problem(&[file("a", "").with(|entry| entry.mode = 0o040_755)]), Some(EntryProblem::FileIsDirectory));
}

#[test]
fn a_directory_with_contents_is_refused() {
    let dir = file("a/", "data").with(|entry| entry.mode = 0o040_755);
    assert_eq!(problem(&[dir]), Some(EntryProblem::DirectoryWithData));
}

#[test]
fn overlapping_entries_are_refused() {
    let kernel = file("kernel", vec![0; 500]).deflated();
    let second = kernel.clone().with(|entry| {
        entry.name = b"copied".to_vec();
        entry.claimed_offset = Some(SHEBANG.len() as u32);
    });
    assert_eq!(problem(&[kernel, second]), Some(EntryProblem::Overlap));
    // Data that runs into the directory.
    let long = file("a", "x").with(|entry| (entry.claimed_size, entry.claimed_stored_size) = (Some(60), Some(60)));
    assert_eq!(problem(&[long]), Some(EntryProblem::Overlap));
    let outside = file("a", "x").with(|entry| entry.claimed_offset = Some(1 << 30));
    assert_eq!(problem(&[outside]), Some(EntryProblem::Overlap));
}

#[test]
fn local_headers_that_disagree_are_refused() {
    let other_name = file("a", "x").with(|entry| entry.local_name = Some(b"b".to_vec()));
    assert_eq!(problem(&[other_name]), Some(EntryProblem::LocalHeader));
    let not_a_header = file("abcdef", "x").with(|entry| entry.claimed_offset = Some(0));
    assert_eq!(problem(&[not_a_header]), Some(EntryProblem::LocalHeader));
}

#[test]
fn sizes_and_sums_that_lie_are_refused() {
    let deflated = || file("a", vec![1; 5000]).deflated();
    for claimed in [4999, 5001] {
        let lie = deflated().with(|entry| entry.claimed_size = Some(claimed));
        assert_eq!(problem(&[lie]), Some(EntryProblem::Size), "{claimed}");
    }
    assert_eq!(problem(&[file("a", "xy").with(|entry| entry.claimed_size = Some(1))]), Some(EntryProblem::Size));
    assert_eq!(problem(&[deflated().with(|entry| entry.claimed_crc = Some(1))]), Some(EntryProblem::Crc));
    let bomb = deflated().with(|entry| entry.claimed_size = Some(1 << 30));
    assert_eq!(problem(&[bomb]), Some(EntryProblem::Bomb));
    let huge = deflated().with(|entry| entry.claimed_size = Some(u32::MAX - 1));
    assert_eq!(problem(&[huge]), Some(EntryProblem::TooLarge));
}

#[test]
fn many_real_bombs_are_refused_by_their_sum() {
    let zeros = vec![0; 16 << 20];
    let bombs: Vec<Crafted> = (0..12).map(|at| file(format!("bomb{at}"), &zeros).deflated()).collect();
    let refused = read_all(&zip(b"", &bombs)).expect_err("192 MiB in 200 kB");
    assert!(matches!(refused, ZipError::TooLarge { .. }), "{refused:?}");
}

#[test]
fn encryption_and_other_methods_are_refused() {
    assert_eq!(problem(&[file("a", "x").with(|entry| entry.flags = 1)]), Some(EntryProblem::Encrypted));
    for method in [1, 9, 12, 14, 93] {
        assert_eq!(problem(&[file("a", "x").with(|entry| entry.method = method)]), Some(EntryProblem::Method));
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = zip(SHEBANG, &[file("a/b.py", "x = 1\n"), file("c", vec![3; 4000]).deflated()]);
    for cut in 0..whole.len() {
        assert!(read_all(&whole[..cut]).is_err(), "cut at {cut} of {}", whole.len());
    }
}

#[test]
fn a_changed_byte_never_gives_other_contents() {
    let whole = zip(b"", &[file("a", "stored"), file("b", b"deflated deflated deflated").deflated()]);
    let good = read_all(&whole).expect("it is whole");
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        if let Ok(files) = read_all(&bytes) {
            let contents = |files: &[(String, Vec<u8>)]| files.iter().map(|(_, data)| data.clone()).collect::<Vec<_>>();
            assert!(contents(&good).ends_with(&contents(&files)) || files.len() == good.len(), "byte {at}: {files:?}");
            assert!(contents(&files).iter().all(|data| contents(&good).contains(data)), "byte {at}: {files:?}");
        }
    }
}

#[test]
fn nonsense_is_no_zip() {
    for bytes in [&b""[..], b"#!/bin/sh\necho hi\n", &[0; 100_000]] {
        assert!(matches!(read_all(bytes), Err(ZipError::NoDirectory)));
    }
}
