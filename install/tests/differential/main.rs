//! Real pex files, installed by pexvisor and by `pex-tools … venv`: the two must be the same, file for file.
//!
//! What must differ is in [`differences`], with its reason. The pexes are made by `make_pexes.sh`.

mod both;
mod compare;
mod differences;

use both::Both;
use pexvisor_install::{FailureKind, Script};

/// A test that installs NAME.pex both ways and compares everything that can be compared.
macro_rules! installs_like_pex {
    ($($test:ident: $name:literal),* $(,)?) => {$(
        #[test]
        fn $test() {
            let both = Both::install(&[$name]);
            both.compare_files();
            both.compare_metadata();
        }
    )*};
}

installs_like_pex! {
    user_code_alone: "source",
    user_code_alone_by_an_old_pex: "source-2.59",
    every_scheme_of_an_installed_wheel: "schemes",
    every_scheme_of_a_wheel_file: "schemes-files",
    extension_modules: "extensions",
    scripts_and_data: "scripts",
    scripts_and_data_of_wheel_files: "scripts-files",
    scripts_and_data_by_an_old_pex: "scripts-2.59",
    namespace_packages_and_pth_files: "namespaces",
    user_code_over_a_dependency: "overrides",
    colliding_distributions: "collisions",
    several_platforms: "platforms",
    dagster: "dagster",
    dagster_of_wheel_files: "dagster-files",
}

#[test]
fn extension_modules_load() {
    let both = Both::install(&["extensions"]);
    both.same_answer("import numpy, greenlet, markupsafe._speedups as s; print(numpy.dot([1, 2], [3, 4]), s.__name__)");
}

#[test]
fn namespace_packages_of_both_kinds_are_whole() {
    let both = Both::install(&["namespaces"]);
    both.same_answer("import zope.interface, zope.event, google.rpc.code_pb2 as c; print(c.OK)");
    both.same_answer(
        "import importlib.util as u; print([bool(u.find_spec('sphinxcontrib.' + n)) for n in ('jsmath', 'htmlhelp')])",
    );
    both.same_answer("import ruamel.yaml as y; print(y.YAML(typ='safe').load('a: [1]'))");
    both.same_answer("import google, zope, sphinxcontrib; print([type(p.__path__).__name__ for p in (google, zope)])");
}

#[test]
fn scripts_run_alike() {
    for name in ["scripts", "scripts-files", "scripts-2.59"] {
        let both = Both::install(&[name]);
        both.same_run("pygmentize", &["-L", "styles"]);
        both.same_run("jp.py", &["--help"]);
        both.same_run("no-such-option-of", &[]);
    }
    let both = Both::install(&["schemes"]);
    for script in ["raw.py", "raw.sh", "schemes-module", "schemes-run", "schemes-gui"] {
        both.same_run(script, &["one", "two words"]);
    }
}

#[test]
fn the_first_of_two_colliding_files_is_used_and_the_manifest_says_so() {
    let both = Both::install(&["collisions"]);
    both.same_answer("import shared.differs as d; print(d.SIDE)");
    let paths: Vec<&str> = both.manifest().collisions.iter().map(|collision| collision.path.as_str()).collect();
    assert_eq!(paths, ["bin/both", "shared/differs.py"]);
}

#[test]
fn user_code_wins_over_a_dependency() {
    let both = Both::install(&["overrides"]);
    both.same_answer("import markupsafe._native as n, yaml.extra as e, top; print(n.OVERRIDDEN, e.ADDED, top.TOP)");
}

#[test]
fn the_entry_point_gets_what_the_pex_injects() {
    let both = Both::install(&["entry"]);
    both.same_main(&["last"]);
    both.compare_files();
    let both = Both::install(&["scripts"]);
    both.same_main(&["-L", "lexers"]);
}

#[test]
fn sys_path_is_in_the_order_of_a_running_pex() {
    for name in ["source", "source-2.59", "overrides"] {
        Both::install(&[name]).same_path_order(name);
    }
    let both = Both::install(&["source"]);
    assert_eq!(
        both.answer("import wave; print(wave.MARK)"),
        both.running_pex("source", "import wave; print(wave.MARK)")
    );
}

#[test]
fn a_pex_path_is_ordered_as_pex_orders_it() {
    let both = Both::install(&["overrides", "source"]);
    let code = "import wave, sys; print(wave.MARK)";
    assert_eq!(both.answer(code), both.running_pex_path("overrides", "source", code));
    both.answer("import yaml.extra, shop.main");
}

#[test]
fn subprocesses_see_the_same_path() {
    let both = Both::install(&["overrides", "source"]);
    let code = "import multiprocessing as m, subprocess, sys, json\n\
                show = 'import json, sys; print(json.dumps([p for p in sys.path if p]))'\n\
                child = json.loads(subprocess.check_output([sys.executable, '-c', show]))\n\
                own = [p for p in sys.path if p]\n\
                print(child == own, m.get_context('spawn').Pool(1).apply(eval, (\"__import__('wave').MARK\",)))";
    assert_eq!(both.answer(code), "True last");
}

#[test]
fn the_wheels_of_one_platform_alone_are_taken() {
    let both = Both::install(&["platforms"]);
    let names: Vec<&str> = both.manifest().wheels.iter().map(|wheel| wheel.name.as_str()).collect();
    assert!(!names.contains(&"tomli"), "its marker excludes it: {names:?}");
    both.same_answer("import markupsafe._speedups, yaml._yaml, click; print(click.__version__)");
}

#[test]
fn what_cannot_be_installed_is_refused_with_its_name() {
    let (kind, said) = Both::refused("foreign");
    assert!(kind == FailureKind::NoInterpreter && said.contains("MarkupSafe-2.1.5-cp312-cp312-macosx"), "{said}");
    let (kind, said) = Both::refused("packed");
    assert!(kind == FailureKind::BadArtifact && said.contains("packed"), "{said}");
}

#[test]
fn our_tags_are_those_of_a_new_packaging() {
    let both = Both::install(&["dagster"]);
    let theirs = both.answer("from packaging.tags import sys_tags; print(*map(str, sys_tags()))");
    let ours: Vec<String> = both.interpreter().tags().iter().map(ToString::to_string).collect();
    let difference = theirs.split_whitespace().zip(&ours).find(|(theirs, ours)| theirs != ours);
    assert_eq!((difference, theirs.split_whitespace().count()), (None, ours.len()));
}

#[test]
fn a_dagster_code_location_loads() {
    let both = Both::install(&["dagster"]);
    both.same_answer("import dagster, pandas; print(dagster.__version__, pandas.DataFrame({'a': [1]}).a.sum())");
    both.same_run("dagster", &["--version"]);
    assert!(matches!(both.manifest().scripts["dagster"], Script::EntryPoint { .. }));
}
