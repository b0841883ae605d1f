//! Which distributions of a pex an interpreter takes, in which order: pex's own rules.
//!
//! Requirements first to last, each distribution before what it requires; the best tag wins, then the newest
//! version. The order decides which of two distributions' files is used when both bring one.

use std::{
    collections::{BTreeSet, HashMap},
    str::FromStr,
};

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{ExtraName, MarkerEnvironment, MarkerEnvironmentBuilder, Requirement, VersionOrUrl};

use super::{Dist, Pex, constraint, normalized, wheel_name};
use crate::interpreter::Interpreter;

/// Why an interpreter does not fit a pex, for a person.
pub(crate) type Misfit = String;

/// Requirements that wait at most: a hostile pex must not fill memory. Real ones have some hundreds.
const PENDING_MAX: usize = 100_000;

/// Indices into `pex.dists` of those that `interpreter` takes, in pex order.
pub(crate) fn resolve(pex: &Pex, interpreter: &Interpreter) -> Result<Vec<usize>, Misfit> {
    let mut reasons = Vec::new();
    for constraint in &pex.info.interpreter_constraints {
        if constraint::is_met(constraint, interpreter)? {
            reasons.clear();
            break;
        }
        reasons.push(constraint.as_str());
    }
    if !reasons.is_empty() {
        return Err(format!("it asks for {}", reasons.join(" or ")));
    }
    let markers = marker_environment(interpreter).ok_or("its environment markers are no PEP 440 versions")?;
    Resolve { candidates: candidates(pex, interpreter), pex, markers }.run()
}

fn marker_environment(interpreter: &Interpreter) -> Option<MarkerEnvironment> {
    let markers = &interpreter.markers;
    MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
        implementation_name: &markers.implementation_name,
        implementation_version: markers.implementation_version.trim_end_matches('+'),
        os_name: &markers.os_name,
        platform_machine: &markers.platform_machine,
        platform_python_implementation: &markers.platform_python_implementation,
        platform_release: &markers.platform_release,
        platform_system: &markers.platform_system,
        platform_version: &markers.platform_version,
        python_full_version: markers.python_full_version.trim_end_matches('+'),
        python_version: &markers.python_version,
        sys_platform: &markers.sys_platform,
    })
    .ok()
}

/// A distribution that fits, and how well.
struct Candidate {
    dist: usize,
    rank: usize,
    version: Version,
}

/// What fits the interpreter, by project, the best first.
fn candidates(pex: &Pex, interpreter: &Interpreter) -> HashMap<String, Vec<Candidate>> {
    let ranks = wheel_name::ranks(interpreter.tags());
    let python = constraint::version(interpreter);
    let mut found: HashMap<String, Vec<Candidate>> = HashMap::new();
    for (at, dist) in pex.dists.iter().enumerate() {
        let Some(rank) = dist.wheel.rank(&ranks) else { continue };
        if takes_python(dist, python.as_ref()) {
            let version = Version::from_str(&dist.metadata.version).unwrap_or_else(|_| dist.wheel.version.clone());
            let project = dist.wheel.project.clone();
            found.entry(project).or_default().push(Candidate { dist: at, rank, version });
        }
    }
    for project in found.values_mut() {
        project.sort_by(|a, b| a.rank.cmp(&b.rank).then_with(|| b.version.cmp(&a.version)));
    }
    found
}

/// Requires-Python holds, or cannot be understood.
fn takes_python(dist: &Dist, python: Option<&Version>) -> bool {
    let wanted = dist.metadata.requires_python.as_deref().and_then(|text| VersionSpecifiers::from_str(text).ok());
    wanted.zip(python).is_none_or(|(wanted, python)| wanted.contains(python))
}

struct Resolve<'a> {
    pex: &'a Pex,
    markers: MarkerEnvironment,
    candidates: HashMap<String, Vec<Candidate>>,
}

impl Resolve<'_> {
    fn run(&self) -> Result<Vec<usize>, Misfit> {
        let mut chosen: Vec<usize> = Vec::new();
        let mut resolved: HashMap<String, Vec<BTreeSet<ExtraName>>> = HashMap::new();
        let mut pending: Vec<Requirement> = self.roots()?;
        pending.reverse();
        while let Some(wanted) = pending.pop() {
            let project = normalized(wanted.name.as_ref());
            let extras: BTreeSet<ExtraName> = wanted.extras.iter().cloned().collect();
            let done = resolved.get(&project).is_some_and(|seen| seen.iter().any(|seen| seen.is_superset(&extras)));
            if done || self.is_excluded(&wanted) {
                continue;
            }
            let Some(found) = self.best(&wanted) else {
                if self.pex.info.ignore_errors {
                    continue;
                }
                return Err(self.explain(&wanted));
            };
            resolved.entry(project).or_default().push(extras);
            if !chosen.contains(&found) {
                chosen.push(found);
            }
            pending.extend(self.requirements_of(found, &wanted.extras).into_iter().rev());
            if pending.len() > PENDING_MAX {
                return Err("its requirements have no end".into());
            }
        }
        Ok(chosen)
    }

    /// The pex's own requirements that apply, one per project, with the extras of all that name it.
    fn roots(&self) -> Result<Vec<Requirement>, Misfit> {
        let mut roots: Vec<Requirement> = Vec::new();
        for text in &self.pex.info.requirements {
            let wanted = parse(text).ok_or_else(|| format!("its requirement {text:?} makes no sense"))?;
            if !wanted.evaluate_markers(&self.markers, &[]) || self.is_excluded(&wanted) {
                continue;
            }
            match roots.iter_mut().find(|root| root.name == wanted.name) {
                Some(root) if self.best(root) <= self.best(&wanted) && self.best(root).is_some() => {
                    root.extras.extend(wanted.extras);
                }
                Some(root) => {
                    let extras = std::mem::take(&mut root.extras);
                    *root = wanted;
                    root.extras.extend(extras);
                }
                None => roots.push(wanted),
            }
        }
        Ok(roots)
    }

    fn requirements_of(&self, dist: usize, extras: &[ExtraName]) -> Vec<Requirement> {
        let texts = &self.pex.dists[dist].metadata.requires_dist;
        let wanted = texts.iter().filter_map(|text| parse(text)).map(|wanted| self.overridden(wanted));
        wanted.filter(|wanted| wanted.evaluate_markers(&self.markers, extras)).collect()
    }

    /// `wanted`, or what PEX-INFO's `overridden` puts in its place (`REQUIREMENT` or `PROJECT=REQUIREMENT`).
    fn overridden(&self, wanted: Requirement) -> Requirement {
        let project = normalized(wanted.name.as_ref());
        let replacement = self.pex.info.overridden.iter().find_map(|text| {
            let named = text.split_once('=').filter(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
            let by_name = named.and_then(|(name, rest)| Some((normalized(name.trim()), parse(rest)?)));
            let (name, requirement) = by_name.or_else(|| {
                let requirement = parse(text)?;
                Some((normalized(requirement.name.as_ref()), requirement))
            })?;
            (name == project && requirement.evaluate_markers(&self.markers, &[])).then_some(requirement)
        });
        replacement.unwrap_or(wanted)
    }

    fn is_excluded(&self, wanted: &Requirement) -> bool {
        self.pex.info.excluded.iter().filter_map(|text| parse(text)).any(|excluded| excluded.name == wanted.name)
    }

    fn best(&self, wanted: &Requirement) -> Option<usize> {
        let candidates = self.candidates.get(&normalized(wanted.name.as_ref()))?;
        candidates.iter().find(|candidate| satisfies(wanted, &candidate.version)).map(|candidate| candidate.dist)
    }

    fn explain(&self, wanted: &Requirement) -> Misfit {
        let project = normalized(wanted.name.as_ref());
        let of_project = self.pex.dists.iter().filter(|dist| dist.wheel.project == project);
        let names: Vec<&str> = of_project.map(|dist| dist.file_name.as_str()).collect();
        if names.is_empty() {
            return format!("it requires {wanted} and holds no distribution of it");
        }
        format!("it requires {wanted}, and of what it holds none fits: {}", names.join(", "))
    }
}

fn satisfies(wanted: &Requirement, version: &Version) -> bool {
    match &wanted.version_or_url {
        Some(VersionOrUrl::VersionSpecifier(specifiers)) => specifiers.contains(version),
        Some(VersionOrUrl::Url(_)) | None => true,
    }
}

/// Reads a requirement. One whose version part is from before PEP 440 counts by its name and marker alone, as
/// the pex was built with it.
fn parse(text: &str) -> Option<Requirement> {
    Requirement::from_str(text).ok().or_else(|| {
        let name_end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))?;
        let marker = text.split_once(';').map_or("", |(_, marker)| marker);
        let bare = if marker.is_empty() { String::new() } else { format!("; {marker}") };
        Requirement::from_str(&format!("{}{bare}", &text[..name_end])).ok()
    })
}
