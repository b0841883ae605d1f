//! Where an install differs from what `pex-tools … venv` makes, and why it must.

use crate::compare::{Difference, How};

/// A kind of difference that is meant.
struct Listed {
    how: How,
    /// A path of the venv: `*` stands for anything.
    path: &'static str,
    #[expect(dead_code, reason = "for the reader of the table and of a failure")]
    why: &'static str,
}

const LISTED: &[Listed] = &[
    Listed {
        how: How::OnlyTheirs,
        path: "site-packages/PEX_EXTRA_SYS_PATH.p*",
        why: "pex's own start-up hook; pexvisor's is pexvisor.pth, in the venv's own site-packages",
    },
    Listed {
        how: How::OnlyTheirs,
        path: "site-packages/*.dist-info/INSTALLER",
        why: "says that pex installed it; a wheel's tree here is as the wheel was, whoever unpacks it",
    },
    Listed {
        how: How::OnlyTheirs,
        path: "site-packages/*.dist-info/REQUESTED",
        why: "pex says so of every distribution, so it tells nothing",
    },
    Listed {
        how: How::OnlyTheirs,
        path: "site-packages/*.pex-info/original-whl-info.json",
        why: "pex's notes for making a wheel file again, written when it unpacks one; no wheel is made here",
    },
    Listed {
        how: How::Bytes,
        path: "site-packages/*.dist-info/RECORD",
        why: "pex lists the venv's scripts; a wheel's tree is shared by venvs and lists scripts and data where they are",
    },
    Listed {
        how: How::OnlyOurs,
        path: "site-packages/schemes_purelib/__init__.py",
        why: "pex loses purelib files in the .data directory of a pure wheel (it warns of a bad RECORD)",
    },
    Listed { how: How::OnlyTheirs, path: "bin/activate*", why: "for people's shells; nobody works in this venv" },
    Listed { how: How::OnlyTheirs, path: "bin/Activate.ps1", why: "for people's shells; nobody works in this venv" },
    Listed {
        how: How::Bytes,
        path: "bin/*",
        why: "scripts name their own venv's Python, and pex's ignore PYTHON* variables (-sE), which here are pexvisor's \
              own; the tests run them instead",
    },
    Listed { how: How::OnlyTheirs, path: "PEX-INFO", why: "kept as manifest.json of the install" },
    Listed { how: How::OnlyTheirs, path: "pex", why: "a second name for __main__.py" },
    Listed { how: How::OnlyTheirs, path: "pex-repl", why: "for people" },
    Listed { how: How::OnlyTheirs, path: ".pex-venv-scope", why: "pex's own note" },
    Listed { how: How::Bytes, path: "__main__.py", why: "runs the same entry point; the tests run it" },
    Listed { how: How::Executable, path: "__main__.py", why: "run by the venv's Python, never as a program" },
    Listed { how: How::Bytes, path: "pyvenv.cfg", why: "names the tool that wrote it" },
];

/// Whether the difference is in the table.
pub fn is_listed(found: &Difference) -> bool {
    LISTED.iter().any(|listed| listed.how == found.how && matches(listed.path, &found.path))
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().expect("split gives one at least");
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
