//! One pex (or several) installed both ways, and asking both the same questions.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use pexvisor_install::{
    Artifact, FailureKind, InstallRequest, Interpreter, Manifest, install,
    interpreter::{parse_probe, probe_command},
    venv,
};

use crate::{compare, differences};

const PYTHON: &str = "/usr/bin/python3";

/// Both installs. The reference is only there for a single pex.
pub struct Both {
    state: tempfile::TempDir,
    interpreter: Interpreter,
    manifests: Vec<Manifest>,
    reference: Option<PathBuf>,
}

/// Says in each venv what importlib.metadata finds.
const METADATA: &str = "import importlib.metadata as m, json\n\
    print(json.dumps({d.metadata['Name']: [d.version, sorted(map(repr, d.entry_points))] for d in m.distributions()}, sort_keys=True))";

/// Says which listed files of distributions are not there.
const MISSING: &str = "import importlib.metadata as m\n\
    print([str(f) for d in m.distributions() for f in d.files if not f.locate().exists()])";

/// Says what kinds of entries sys.path has, in order.
const PATH_ORDER: &str = "import os, sys\n\
    kinds = []\n\
    for entry in filter(None, sys.path):\n\
    \x20   kind = 'user' if '/unzipped_pexes/' in entry and not entry.endswith('.bootstrap') or entry.endswith('/sources') else \\\n\
    \x20       'deps' if '.whl' in entry or '/installs/' in entry else \\\n\
    \x20       'stdlib' if os.path.exists(os.path.join(entry, 'os.py')) else None\n\
    \x20   if kind and kind not in kinds[-1:]: kinds.append(kind)\n\
    print(kinds)";

/// Where `make_pexes.sh` put them.
fn pexes() -> PathBuf {
    let made = env::var_os("PEXVISOR_TEST_PEXES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pexes/differential"), PathBuf::from);
    let there = made.join("dagster-files.pex").exists();
    assert!(there, "there are no pexes in {}: run `make setup`, or install/tests/make_pexes.sh {0}", made.display());
    fs::canonicalize(made).expect("it is there")
}

impl Both {
    /// Installs the pexes NAME.pex, in this order.
    pub fn install(names: &[&str]) -> Self {
        let state = tempfile::tempdir_in(pexes()).expect("writable");
        let (interpreter, manifests) = install(&request(state.path(), names), &|_| {}).expect("it installs");
        let directory = |manifest: &Manifest| state.path().join("installs").join(manifest.directory_name());
        let installed: Vec<_> = manifests
            .iter()
            .map(|manifest| venv::Installed { directory: directory(manifest), manifest: manifest.clone() })
            .collect();
        let ours = state.path().join("venv");
        venv::compose(&interpreter, &installed, &ours, &ours).expect("it composes");
        let reference = (names.len() == 1).then(|| reference(names[0]));
        Self { state, interpreter, manifests, reference }
    }

    /// How the pex NAME.pex is refused.
    pub fn refused(name: &str) -> (FailureKind, String) {
        let state = tempfile::tempdir_in(pexes()).expect("writable");
        let error = install(&request(state.path(), &[name]), &|_| {}).expect_err("it is refused");
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        (error.kind(), causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifests[0]
    }

    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    fn ours(&self) -> PathBuf {
        self.state.path().join("venv")
    }

    fn theirs(&self) -> &Path {
        self.reference.as_deref().expect("a single pex")
    }

    /// site-packages, bin and everything else, file for file.
    pub fn compare_files(&self) {
        let library = Path::new("lib").join(self.interpreter.library_name()).join("site-packages");
        let install = self.state.path().join("installs").join(self.manifest().directory_name());
        let mut found = compare::trees("site-packages", &install.join("site-packages"), &self.theirs().join(&library));
        found.extend(compare::trees("", &self.ours(), self.theirs()));
        let unexplained: Vec<_> = found.iter().filter(|found| !differences::is_listed(found)).collect();
        assert!(unexplained.is_empty(), "{} differences that are not listed: {unexplained:#?}", unexplained.len());
    }

    /// What importlib.metadata finds: names, versions, entry points.
    pub fn compare_metadata(&self) {
        assert_eq!(self.answer(METADATA), python_says(self.theirs(), METADATA));
        assert_eq!(self.answer(MISSING), "[]", "files that RECORD lists and nobody finds");
    }

    /// What our venv's Python prints.
    pub fn answer(&self, code: &str) -> String {
        python_says(&self.ours(), code)
    }

    pub fn same_answer(&self, code: &str) {
        assert_eq!(self.answer(code), python_says(self.theirs(), code), "{code}");
    }

    /// Runs a script of both venvs. One that is in neither counts as the same.
    pub fn same_run(&self, script: &str, args: &[&str]) {
        let run = |venv: &Path| {
            let path = venv.join("bin").join(script);
            path.exists().then(|| shown(&run(&path, args, &[]), venv))
        };
        assert_eq!(run(&self.ours()), run(self.theirs()), "{script}");
    }

    /// Runs the entry point of both.
    pub fn same_main(&self, args: &[&str]) {
        let run = |venv: &Path| {
            let main = venv.join("__main__.py");
            let all: Vec<&str> = [main.to_str().expect("UTF-8")].into_iter().chain(args.iter().copied()).collect();
            shown(&run(&venv::python(venv), &all, &[]), venv)
        };
        assert_eq!(run(&self.ours()), run(self.theirs()));
    }

    /// The kinds of entries of sys.path, here and in the running pex.
    pub fn same_path_order(&self, name: &str) {
        assert_eq!(self.answer(PATH_ORDER), self.running_pex(name, PATH_ORDER), "{name}");
    }

    /// What the pex itself says when it runs `code`.
    pub fn running_pex(&self, name: &str, code: &str) -> String {
        self.run_pex(name, code, "")
    }

    /// The same with another pex on PEX_PATH.
    pub fn running_pex_path(&self, name: &str, other: &str, code: &str) -> String {
        self.run_pex(name, code, pexes().join(format!("{other}.pex")).to_str().expect("UTF-8"))
    }

    fn run_pex(&self, name: &str, code: &str, pex_path: &str) -> String {
        let pex = pexes().join(format!("{name}.pex"));
        let root = self.state.path().join("pex-root");
        let env = [
            ("PEX_ROOT", root.to_str().expect("UTF-8")),
            ("PEX_INTERPRETER", "1"),
            ("PEX_PATH", pex_path),
            ("PATH", "/usr/bin:/bin"),
        ];
        let ran = run(Path::new(PYTHON), &[pex.to_str().expect("UTF-8"), "-c", code], &env);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).expect("UTF-8").trim().to_owned()
    }
}

fn request(state: &Path, names: &[&str]) -> InstallRequest {
    let artifact = |(at, name): (usize, &&str)| Artifact {
        path: pexes().join(format!("{name}.pex")),
        digest: format!("{at:064}"),
    };
    InstallRequest {
        artifacts: names.iter().enumerate().map(artifact).collect(),
        interpreters: vec![python()],
        wheels: state.join("wheels"),
        installs: state.join("installs"),
        staging: state.join("tmp"),
    }
}

fn python() -> Interpreter {
    let argv = probe_command(Path::new(PYTHON));
    let args: Vec<&str> = argv[1..].iter().map(|arg| arg.to_str().expect("ASCII")).collect();
    parse_probe(Path::new(PYTHON), &run(Path::new(PYTHON), &args, &[]).stdout).expect("a Python")
}

/// The venv that pex-tools makes of NAME.pex. Kept for the next run: it takes seconds, and nothing changes it.
fn reference(name: &str) -> PathBuf {
    let (pexes, pex) = (pexes(), format!("{name}.pex"));
    // Tests are processes of their own, and several look at one pex.
    let lock = File::create(pexes.join(format!(".{name}.lock"))).expect("writable");
    lock.lock().expect("a file can be locked");
    let venv = pexes.join("reference").join(name);
    let age = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    if age(&venv.join("PEX-INFO")) > age(&pexes.join(&pex)) {
        return venv;
    }
    let _ = fs::remove_dir_all(&venv);
    // A root of its own: pex-tools writes user code through hard links into its root's shared wheels.
    let root = tempfile::tempdir_in(&pexes).expect("writable");
    let env = [("PEX_ROOT", root.path().to_str().expect("UTF-8")), ("PATH", "/usr/bin:/bin")];
    let (pex, path) = (pexes.join(pex), venv.to_str().expect("UTF-8"));
    let args = [pex.to_str().expect("UTF-8"), "venv", "--collisions-ok", path];
    let version = if name.ends_with("-2.59") { "2.59" } else { "2.105" };
    let made = run(&pexes.join(format!("venv-{version}/bin/pex-tools")), &args, &env);
    assert!(made.status.success(), "pex-tools: {}", String::from_utf8_lossy(&made.stderr));
    venv
}

fn python_says(venv: &Path, code: &str) -> String {
    let ran = run(&venv::python(venv), &["-c", code], &[]);
    assert!(ran.status.success(), "{}: {}", venv.display(), String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("UTF-8").trim().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "a test has no reaper")]
fn run(program: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    let no_byte_code = ("PYTHONDONTWRITEBYTECODE", "1");
    let env = env.iter().copied().chain([no_byte_code]).filter(|(_, value)| !value.is_empty());
    Command::new(program).args(args).env_clear().envs(env).output().expect("it starts")
}

/// What a program did, without the venv's own path.
fn shown(ran: &Output, venv: &Path) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(venv.to_str().expect("UTF-8"), "VENV");
    (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
}
