//! The environment variables of a code server: an allow-list, the contract, and the revision's own; never the supervisor's.

use std::{collections::BTreeMap, env, path::Path};

use super::{Composition, Place};
use crate::words::Revision;

/// What passes from the supervisor's own environment: where programs and certificates are, and the locale. Everything
/// else stays out, because the supervisor's environment holds credentials.
const PASSED: [&str; 6] = ["LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"];

/// Where programs are when the supervisor has no PATH itself: what execvp(3) and Debian's login use.
const PATH_FALLBACK: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All variables of one generation; later sources win: base, the pex's own, the revision's, the contract.
pub fn environ(place: &Place, composition: &Composition, revision: &Revision) -> BTreeMap<String, String> {
    let mut all = base(place, &composition.venv);
    all.extend(composition.inject_env.clone());
    all.extend(revision.spec.env.clone());
    all.extend(contract(place, revision));
    all
}

fn base(place: &Place, venv: &Path) -> BTreeMap<String, String> {
    let mut all: BTreeMap<_, _> =
        PASSED.iter().filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?))).collect();
    let path = env::var("PATH").unwrap_or_else(|_| PATH_FALLBACK.to_owned());
    let text = |path: &Path| path.to_string_lossy().into_owned();
    all.insert("PATH".into(), format!("{}:{path}", text(&venv.join("bin"))));
    all.insert("VIRTUAL_ENV".into(), text(venv));
    all.insert("PEX".into(), text(venv));
    all.insert("HOME".into(), text(&place.scratch));
    all.insert("TMPDIR".into(), text(&place.scratch));
    all.entry("LANG".into()).or_insert_with(|| "C.UTF-8".into());
    // Output arrives line by line, as it is written.
    all.insert("PYTHONUNBUFFERED".into(), "1".into());
    // Installs have their byte code and are read-only; nothing else that is imported is worth a write.
    all.insert("PYTHONDONTWRITEBYTECODE".into(), "1".into());
    all
}

fn contract(place: &Place, revision: &Revision) -> [(String, String); 4] {
    [
        ("PEXVISOR_SOCKET".into(), place.socket.to_string_lossy().into_owned()),
        ("PEXVISOR_ENVIRONMENT".into(), place.environment.to_string()),
        ("PEXVISOR_REVISION".into(), revision.number.to_string()),
        ("PEXVISOR_GENERATION".into(), place.generation.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{RevisionSpec, samples};

    fn revision(env: &[(&str, &str)]) -> Revision {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Revision { number: 3, spec: RevisionSpec { env, ..samples::spec() }, image: String::new() }
    }

    #[test]
    fn only_listed_variables_pass_and_the_revisions_win_over_the_base() {
        let place = Place::of(Path::new("/state"), &"etl".parse().expect("a name"), 7);
        let composition = Composition {
            venv: "/venv".into(),
            inject_env: [("INJECTED".to_owned(), "1".to_owned()), ("HOME".to_owned(), "/pex".to_owned())].into(),
            ..Composition::default()
        };
        let all = environ(&place, &composition, &revision(&[("HOME", "/mine")]));
        assert!(!all.contains_key("CARGO_MANIFEST_DIR"), "the supervisor's own variables stay out");
        assert_eq!(all["HOME"], "/mine");
        assert_eq!(all["INJECTED"], "1");
        assert_eq!(all["PEXVISOR_REVISION"], "3");
        assert!(all["PATH"].starts_with("/venv/bin:"));
    }
}
