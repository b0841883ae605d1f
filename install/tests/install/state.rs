//! A state directory, and pexes zipped on the spot.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::{LazyLock, Mutex},
};

use pexvisor_install::{
    Artifact, FailureKind, InstallRequest, Interpreter, Manifest, install,
    interpreter::{parse_probe, probe_command},
    venv,
};
use rawzip::{ZipArchiveWriter, ZipDataWriter};

const PYTHON: &str = "/usr/bin/python3";
pub const WHEEL: &str = ".deps/demo-1.0-py3-none-any.whl";

#[expect(clippy::disallowed_methods, reason = "a test has no reaper")]
pub fn output(program: &Path, args: &[&str]) -> std::process::Output {
    Command::new(program).args(args).env_clear().output().expect("it starts")
}

/// The system's Python, probed once.
pub fn python() -> Interpreter {
    static PROBED: LazyLock<Interpreter> = LazyLock::new(|| {
        let argv = probe_command(Path::new(PYTHON));
        let args: Vec<&str> = argv[1..].iter().map(|arg| arg.to_str().expect("ASCII")).collect();
        parse_probe(Path::new(PYTHON), &output(Path::new(PYTHON), &args).stdout).expect("a Python")
    });
    PROBED.clone()
}

/// A state directory with pexes.
pub struct State {
    dir: tempfile::TempDir,
    made: Mutex<u32>,
}

impl State {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory"), made: Mutex::new(0) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn pex(&self, files: &[(&str, &str)]) -> Artifact {
        let mut made = self.made.lock().expect("no test thread panics with it");
        *made += 1;
        let path = self.path(&format!("{made}.pex"));
        let mut out = File::create(&path).expect("writable");
        // The writer's offsets do not count the prefix, as in `cat prefix zip`; pex's own do.
        out.write_all(b"#!/usr/bin/env python3\n").expect("writable");
        let mut zip = ZipArchiveWriter::new(out);
        for (name, text) in files {
            let (mut entry, config) = zip
                .new_file(name)
                .unix_permissions(0o100_644)
                .compression_method(rawzip::CompressionMethod::STORE)
                .start()
                .expect("new");
            let mut writer: ZipDataWriter<_> = config.wrap(&mut entry);
            writer.write_all(text.as_bytes()).expect("writable");
            let (_, descriptor) = writer.finish().expect("writable");
            entry.finish(descriptor).expect("writable");
        }
        zip.finish().expect("writable");
        Artifact { path, digest: format!("{made:064}") }
    }

    pub fn request(&self, artifacts: &[&Artifact], interpreters: Vec<Interpreter>) -> InstallRequest {
        InstallRequest {
            artifacts: artifacts.iter().map(|artifact| (*artifact).clone()).collect(),
            interpreters,
            wheels: self.path("wheels"),
            installs: self.path("installs"),
            staging: self.path("tmp/one"),
        }
    }

    pub fn install(&self, artifacts: &[&Artifact]) -> Vec<Manifest> {
        install(&self.request(artifacts, vec![python()]), &|_| {}).expect("it installs").1
    }

    pub fn refused(&self, artifacts: &[&Artifact]) -> (FailureKind, String) {
        let error = install(&self.request(artifacts, vec![python()]), &|_| {}).expect_err("it is refused");
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        let said = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        assert!(!self.path("tmp/one").exists(), "staging is left behind");
        (error.kind(), said)
    }

    pub fn compose(&self, manifests: Vec<Manifest>) -> PathBuf {
        let venv = self.path("venv");
        let install = |manifest: Manifest| venv::Installed {
            directory: self.path("installs").join(manifest.directory_name()),
            manifest,
        };
        let installs: Vec<_> = manifests.into_iter().map(install).collect();
        venv::compose(&python(), &installs, &venv, &venv).expect("it composes");
        venv
    }
}

pub fn info(extra: &str) -> String {
    format!(r#"{{"distributions": {{}}, "requirements": []{extra}}}"#)
}

pub fn demo_info(extra: &str) -> String {
    format!(r#"{{"distributions": {{"demo-1.0-py3-none-any.whl": "x"}}, "requirements": ["demo==1.0"]{extra}}}"#)
}

/// A pex with one distribution, `demo`, and what else is given.
pub fn demo<'a>(info: &'a str, files: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![
        (".deps/demo-1.0-py3-none-any.whl/demo/__init__.py", "WHERE = 'deps'\n"),
        (
            ".deps/demo-1.0-py3-none-any.whl/demo/other.py",
            "OTHER = 'deps'\ndef main():\n    print('ran')\n    return 4\n",
        ),
        (".deps/demo-1.0-py3-none-any.whl/demo-1.0.dist-info/METADATA", "Name: demo\nVersion: 1.0\n"),
        (
            ".deps/demo-1.0-py3-none-any.whl/demo-1.0.dist-info/entry_points.txt",
            "[console_scripts]\ndemo-run = demo.other:main\n",
        ),
        (".deps/demo-1.0-py3-none-any.whl/.layout.json", "{}"),
        (".deps/demo-1.0-py3-none-any.whl/.prefix/bin/raw.py", "#!python\nimport demo\nprint(demo.WHERE)\n"),
        (".deps/demo-1.0-py3-none-any.whl/.prefix/data/share/demo.txt", "data\n"),
        ("PEX-INFO", info),
        ("__main__.py", "not user code"),
        (".bootstrap/pex/__init__.py", ""),
    ];
    all.extend_from_slice(files);
    all
}

pub fn says(venv: &Path, code: &str) -> String {
    let out = output(&venv::python(venv), &["-c", code]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8").trim().to_owned()
}
