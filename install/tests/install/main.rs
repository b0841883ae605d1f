//! Whole installs of small pexes that the test zips itself: no pex tool, no network.

mod state;

use std::{fs, path::Path, sync::Mutex};

use pexvisor_install::{
    Artifact, CompileRequest, Event, FailureKind, Manifest, Script, Wanted, bytecode, install, venv,
};
use state::{State, WHEEL, demo, demo_info, info, output, python, says};

#[test]
fn an_installed_pex_runs_with_its_dependencies_data_and_scripts() {
    let state = State::new();
    let artifact = state.pex(&demo(&demo_info(""), &[("user.py", "import demo\n")]));
    let manifests = state.install(&[&artifact]);
    assert_eq!(manifests[0].scripts["raw.py"], Script::Raw);
    let venv = state.compose(manifests);
    assert_eq!(says(&venv, "import user, demo; print(demo.WHERE)"), "deps");
    assert_eq!(says(&venv, "from importlib.metadata import version; print(version('demo'))"), "1.0");
    assert_eq!(fs::read_to_string(venv.join("share/demo.txt")).expect("linked"), "data\n");
    let ran = output(&venv.join("bin/demo-run"), &[]);
    assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(4), &b"ran\n"[..]));
    assert_eq!(output(&venv.join("bin/raw.py"), &[]).stdout, b"deps\n");
}

#[test]
fn user_code_replaces_a_dependencys_file_and_leaves_the_shared_wheel_alone() {
    let state = State::new();
    let plain = state.pex(&demo(&demo_info(""), &[]));
    let other = state.pex(&demo(&demo_info(""), &[("demo/__init__.py", "WHERE = 'user'\n")]));
    let manifests = [state.install(&[&plain]), state.install(&[&other])].concat();
    assert_eq!(manifests[0].wheels, manifests[1].wheels, "one wheel for both");
    assert_eq!(manifests[1].collisions[0].kept, "user code");
    let read = |manifest: &Manifest| {
        let path = state.path("installs").join(manifest.directory_name()).join("site-packages/demo/__init__.py");
        fs::read_to_string(path).expect("there")
    };
    assert_eq!((read(&manifests[0]), read(&manifests[1])), ("WHERE = 'deps'\n".into(), "WHERE = 'user'\n".into()));
}

#[test]
fn user_code_goes_before_the_standard_library_and_the_last_artifacts_first() {
    let state = State::new();
    let (first, last) = (
        state.pex(&[("PEX-INFO", &info("")), ("wave.py", "MARK = 1\n")]),
        state.pex(&[("PEX-INFO", &info("")), ("wave.py", "MARK = 2\n")]),
    );
    let venv = state.compose(state.install(&[&first, &last]));
    assert_eq!(says(&venv, "import wave; print(wave.MARK)"), "2");
    let code = "import multiprocessing, subprocess, sys\n\
                print(subprocess.check_output([sys.executable, '-c', 'import wave; print(wave.MARK)'], text=True))";
    assert_eq!(says(&venv, code), "2");
}

#[test]
fn pth_files_of_an_install_are_run() {
    let state = State::new();
    let pth = (".deps/demo-1.0-py3-none-any.whl/demo.pth", "import sys; sys.demo_pth = sitedir\n");
    let venv = state.compose(state.install(&[&state.pex(&demo(&demo_info(""), &[pth]))]));
    assert!(says(&venv, "import sys; print(sys.demo_pth)").ends_with("site-packages"));
}

#[test]
fn the_entry_point_runs_with_what_the_pex_injects() {
    let state = State::new();
    let extra =
        r#", "entry_point": "run:main", "inject_env": {"A": "a'b", "B": "kept"}, "inject_args": ["--x", "y z"]"#;
    let code = "import os, sys\ndef main():\n    print(os.environ['A'], os.environ['B'], sys.argv[1:])\n    return 5\n";
    let venv = state.compose(state.install(&[&state.pex(&[("PEX-INFO", &info(extra)), ("run.py", code)])]));
    let main = venv.join("__main__.py");
    let ran = output(
        Path::new("/usr/bin/env"),
        &["B=given", venv::python(&venv).to_str().expect("UTF-8"), main.to_str().expect("UTF-8"), "z"],
    );
    assert_eq!(
        String::from_utf8_lossy(&ran.stdout),
        "a'b given ['--x', 'y z', 'z']\n",
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert_eq!(ran.status.code(), Some(5));
}

#[test]
fn an_artifact_that_is_installed_is_not_opened_again() {
    let state = State::new();
    let artifact = state.pex(&demo(&demo_info(""), &[]));
    let manifests = state.install(&[&artifact]);
    fs::remove_file(&artifact.path).expect("there");
    assert_eq!(state.install(&[&artifact]), manifests);
}

#[test]
fn a_wheel_that_was_swept_is_installed_again() {
    let state = State::new();
    let artifact = state.pex(&demo(&demo_info(""), &[]));
    let manifests = state.install(&[&artifact]);
    fs::remove_dir_all(state.path("wheels")).expect("there");
    assert_eq!(state.install(&[&artifact]), manifests);
    assert!(state.path("wheels").join(&manifests[0].wheels[0].key).is_dir());
}

#[test]
fn two_installers_at_once_both_succeed() {
    let state = State::new();
    let artifact = state.pex(&demo(&demo_info(""), &[]));
    let results: Vec<_> = std::thread::scope(|scope| {
        let start = |at: u32| {
            let mut request = state.request(&[&artifact], vec![python()]);
            request.staging = state.path(&format!("tmp/{at}"));
            scope.spawn(move || install(&request, &|_| {}).map(|(_, manifests)| manifests))
        };
        let threads: Vec<_> = (0..4).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic").expect("installs")).collect()
    });
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(fs::read_dir(state.path("tmp")).expect("there").count(), 0, "staging is left behind");
}

#[test]
fn what_is_installed_is_read_only_and_old() {
    use std::os::unix::fs::MetadataExt;
    let state = State::new();
    let manifests = state.install(&[&state.pex(&demo(&demo_info(""), &[("user.py", "")]))]);
    let install = state.path("installs").join(manifests[0].directory_name());
    for file in ["sources/user.py", "site-packages/demo/other.py", "scripts/raw.py", "manifest.json"] {
        let metadata = fs::metadata(install.join(file)).expect(file);
        assert_eq!(metadata.mode() & 0o222, 0, "{file}");
        assert_eq!((metadata.mtime(), metadata.atime()), (315_532_800, 315_532_800), "{file}");
    }
}

#[test]
fn byte_code_is_made_once_and_used_through_every_link() {
    let state = State::new();
    let broken = ("broken.py", "def (:\n");
    let artifact =
        state.pex(&demo(&demo_info(""), &[broken, ("demo/extra.py", "X = 1\n"), ("user.py", "import demo.other\n")]));
    let manifests = state.install(&[&artifact]);
    let install = state.path("installs").join(manifests[0].directory_name());
    let wheel = state.path("wheels").join(&manifests[0].wheels[0].key).join(python().key());
    let request = CompileRequest {
        interpreter: python(),
        trees: vec![wheel, install.join("sources")],
        wanted: Wanted::Everything,
        processes: 1,
    };
    let done = bytecode::compile(&request, &|_| {}).expect("it compiles");
    assert_eq!((done.compiled, done.broken), (4, 1));
    assert!(request.trees.iter().all(|tree| bytecode::is_compiled(tree)));
    assert_eq!(bytecode::compile(&request, &|_| {}).expect("again"), bytecode::Compiled::default());
    let venv = state.compose(manifests);
    // `demo` is a real directory here, as user code adds a file: its modules are links, and so is their byte code.
    let code = "import sys; sys.dont_write_bytecode = True; import demo.other, demo.extra, user, os\n\
                print(all(os.path.exists(m.__cached__) for m in (demo.other, demo.extra, user)))";
    assert_eq!(says(&venv, code), "True");
    let verbose = output(&venv::python(&venv), &["-v", "-c", "import demo.other"]);
    let said = String::from_utf8_lossy(&verbose.stderr).into_owned();
    assert!(said.lines().any(|line| line.contains("demo/__pycache__/other") && line.contains("matches")), "{said}");
}

#[test]
fn before_a_start_what_it_imports_is_compiled_and_nothing_else() {
    let state = State::new();
    let program = "from . import near\nimport demo.other\nimport os.path\n\ndef late():\n    import demo.late\n";
    let info = demo_info("");
    let pex = demo(
        &info,
        &[
            ("app/__init__.py", ""),
            ("app/__main__.py", program),
            ("app/near.py", "from demo import taken as name, WHERE\nfrom ..app import far\n"),
            ("app/far.py", "class A:\n    import demo.inner\n"),
            ("app/unused.py", ""),
            ("demo/taken.py", "try:\n    from missing import nothing\nexcept ImportError:\n    from .spare import *\n"),
            ("demo/spare.py", ""),
            ("demo/late.py", ""),
        ],
    );
    let manifests = state.install(&[&state.pex(&pex)]);
    let install = state.path("installs").join(manifests[0].directory_name());
    let wheel = state.path("wheels").join(&manifests[0].wheels[0].key).join(python().key());
    let wanted = Wanted::ImportedBy(vec!["app".into(), "app.__main__".into()]);
    let trees = vec![install.join("sources"), wheel.clone()];
    let request = CompileRequest { interpreter: python(), trees, wanted, processes: 2 };
    let done = bytecode::compile(&request, &|_| {}).expect("it compiles");
    let compiled = |tree: &Path, name: &str| {
        let (package, stem) = name.rsplit_once('/').expect("in a package");
        tree.join(package).join(format!("__pycache__/{stem}.{}.pyc", python().cache_tag)).exists()
    };
    let sources = install.join("sources");
    for name in ["app/__init__", "app/__main__", "app/near", "app/far", "demo/taken", "demo/spare"] {
        assert!(compiled(&sources, name), "{name}");
    }
    assert!(compiled(&wheel.join("site"), "demo/__init__") && compiled(&wheel.join("site"), "demo/other"));
    assert!(!compiled(&sources, "app/unused") && !compiled(&sources, "demo/late"));
    assert_eq!((done.compiled, done.broken), (8, 0));
    assert!(!bytecode::is_compiled(&wheel), "only a part of it is");
    // Byte code that is there is followed as well.
    assert_eq!(bytecode::compile(&request, &|_| {}).expect("again"), bytecode::Compiled::default());
    fs::remove_file(sources.join(format!("demo/__pycache__/spare.{}.pyc", python().cache_tag))).expect("it was there");
    assert_eq!(bytecode::compile(&request, &|_| {}).expect("again").compiled, 1);
}

#[test]
fn the_garbage_collector_waits_while_a_program_starts() {
    let state = State::new();
    let venv = state.compose(state.install(&[&state.pex(&demo(&demo_info(""), &[]))]));
    let plain = output(Path::new("/usr/bin/python3"), &["-c", "import gc; print(gc.get_threshold())"]);
    let default = String::from_utf8_lossy(&plain.stdout).trim().to_owned();
    let first = |code: &str| says(&venv, &format!("import gc\n{code}\nprint(gc.get_threshold())"));
    assert_ne!(first(""), default, "it waits");
    assert_eq!(first("gc.collect()"), default, "until the program collects");
    assert_eq!(first("kept = [[] for _ in range(1_600_000)]"), default, "or has made many objects");
    assert_eq!(first("gc.set_threshold(9, 9, 9)\ngc.collect()"), "(9, 9, 9)", "the program's own stay");
    assert_eq!(first("gc.collect()\ngc.set_threshold(50_021, 30, 10)\ngc.collect()"), "(50021, 30, 10)");
    let all = "import gc\nseen = []\ngc.callbacks.append(lambda phase, info: seen.append(phase))\n\
               gc.collect()\nprint(seen)";
    assert_eq!(says(&venv, all), "['start', 'stop']", "other callbacks are called");
}

#[test]
fn a_source_that_crashes_the_compiler_is_left_out() {
    let state = State::new();
    let deep = format!("x = {}1{}\n", "(".repeat(150_000), ")".repeat(150_000));
    let files = [("PEX-INFO", info("")), ("a.py", "x = 1\n".into()), ("b.py", deep), ("c.py", "y = 1\n".into())];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let manifests = state.install(&[&state.pex(&files)]);
    let sources = state.path("installs").join(manifests[0].directory_name()).join("sources");
    let request =
        CompileRequest { interpreter: python(), trees: vec![sources], wanted: Wanted::Everything, processes: 1 };
    let done = bytecode::compile(&request, &|_| {}).expect("it goes on");
    assert_eq!((done.compiled, done.broken), (2, 1));
}

#[test]
fn a_file_that_is_no_pex_is_told_what_it_is() {
    let state = State::new();
    let (kind, said) = state.refused(&[&state.pex(&[("a.py", "")])]);
    assert!(kind == FailureKind::BadArtifact && said.contains("without PEX-INFO"), "{said}");
    let write = |bytes: &[u8]| {
        let path = state.path("odd.pex");
        fs::write(&path, bytes).expect("writable");
        Artifact { path, digest: "9".repeat(64) }
    };
    assert!(state.refused(&[&write(b"hello")]).1.contains("not a zip"));
    assert!(state.refused(&[&write(b"\x7fELF and a pex")]).1.contains("scie"));
    fs::create_dir(state.path("loose")).expect("writable");
    let loose = Artifact { path: state.path("loose"), digest: "9".repeat(64) };
    assert!(state.refused(&[&loose]).1.contains("--layout"));
    assert!(state.refused(&[&state.pex(&[("PEX-INFO", &info("")), (".bootstrap", "a zip")])]).1.contains("packed"));
    assert!(state.refused(&[&state.pex(&[("PEX-INFO", "{")])]).1.contains("PEX-INFO"));
}

#[test]
fn no_interpreter_is_told_with_what_was_looked_for_and_found() {
    let state = State::new();
    let artifact = state.pex(&demo(&demo_info(r#", "interpreter_constraints": ["CPython==2.7.*"]"#), &[]));
    let (kind, said) = state.refused(&[&artifact]);
    assert_eq!(kind, FailureKind::NoInterpreter);
    assert!(said.contains("CPython==2.7.*") && said.contains(&python().markers.python_full_version), "{said}");
    let missing = state.pex(&[("PEX-INFO", &info("").replace("[]", "[\"other>1\"]"))]);
    assert!(state.refused(&[&missing]).1.contains("other>1"));
}

#[test]
fn an_older_interpreter_is_taken_when_the_first_does_not_fit() {
    let state = State::new();
    let minor = python().version.1;
    let wanted = format!(r#", "interpreter_constraints": ["CPython<3.{minor}"]"#);
    let artifact = state.pex(&[("PEX-INFO", &info(&wanted)), ("a.py", "")]);
    let mut older = python();
    older.version.1 = minor - 1;
    older.markers.python_full_version = format!("3.{}.0", minor - 1);
    let (chosen, manifests) =
        install(&state.request(&[&artifact], vec![python(), older.clone()]), &|_| {}).expect("fits");
    assert_eq!((chosen.key(), &manifests[0].interpreter), (older.key(), &older.key()));
}

#[test]
fn a_distribution_that_lies_about_itself_is_refused_by_name() {
    let state = State::new();
    let info = demo_info("");
    let metadata = demo(&info, &[]).into_iter().map(|(name, text)| match name.ends_with("METADATA") {
        true => (name, "Name: other\nVersion: 1.0\n"),
        false => (name, text),
    });
    let (_, said) = state.refused(&[&state.pex(&metadata.collect::<Vec<_>>())]);
    assert!(said.contains("demo-1.0-py3-none-any.whl"), "{said}");
    let twice = format!("{WHEEL}/.prefix/platlib/demo/__init__.py");
    let (_, said) = state.refused(&[&state.pex(&demo(&demo_info(""), &[(&twice, "")]))]);
    assert!(said.contains("demo/__init__.py"), "{said}");
}

#[test]
fn progress_and_the_end_are_told() {
    let state = State::new();
    let many: Vec<(String, String)> = (0..1200).map(|at| (format!("m{at}.py"), "x = 1\n".into())).collect();
    let info = info("");
    let mut files = vec![("PEX-INFO", info.as_str())];
    files.extend(many.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let told = Mutex::new(Vec::new());
    let request = state.request(&[&state.pex(&files)], vec![python()]);
    install(&request, &|event| told.lock().expect("no panic").push(event)).expect("installs");
    let told = told.into_inner().expect("no panic");
    assert!(told.iter().any(|event| matches!(event, Event::Progress { files_total: 1200, .. })), "{told:?}");
}

#[test]
fn an_install_that_another_version_left_is_made_anew() {
    let state = State::new();
    let artifact = state.pex(&demo(&demo_info(""), &[]));
    let manifests = state.install(&[&artifact]);
    let path = state.path("installs").join(manifests[0].directory_name()).join("manifest.json");
    let other = fs::read_to_string(&path).expect("there").replace("\"format\":1", "\"format\":0");
    fs::remove_file(&path).expect("there");
    fs::write(&path, other).expect("writable");
    assert_eq!(state.install(&[&artifact]), manifests);
    assert_eq!(Manifest::load(path.parent().expect("joined")).expect("made anew"), manifests[0]);
}

#[test]
fn no_changed_byte_of_a_pex_makes_the_installer_panic_or_write_elsewhere() {
    let state = State::new();
    let artifact = state.pex(&demo(&demo_info(""), &[("user.py", "x = 1\n")]));
    let whole = fs::read(&artifact.path).expect("there");
    let before = fs::read_dir(state.path("")).expect("there").count();
    for at in (0..whole.len()).step_by(31) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&artifact.path, &bytes).expect("writable");
        let changed = Artifact { digest: format!("{:064}", at + 1000), ..artifact.clone() };
        let _ = install(&state.request(&[&changed], vec![python()]), &|_| {});
    }
    // wheels, installs, tmp.
    assert_eq!(fs::read_dir(state.path("")).expect("there").count(), before + 3);
}
