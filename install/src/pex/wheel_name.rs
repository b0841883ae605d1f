//! Wheel file names (`NAME-VERSION(-BUILD)?-PYTHON-ABI-PLATFORM.whl`) and project names.

use std::{collections::HashMap, str::FromStr};

use pep440_rs::Version;

use crate::interpreter::Tag;

/// A wheel's file name, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct WheelName {
    /// The project's name, normalized.
    pub project: String,
    /// The version.
    pub version: Version,
    pythons: Vec<String>,
    abis: Vec<String>,
    platforms: Vec<String>,
}

impl WheelName {
    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let parts: Vec<&str> = file_name.strip_suffix(".whl")?.split('-').collect();
        let (project, version, [python, abi, platform]) = match parts[..] {
            [project, version, a, b, c] | [project, version, _, a, b, c] => (project, version, [a, b, c]),
            _ => return None,
        };
        let set = |text: &str| text.split('.').map(str::to_owned).collect();
        Some(Self {
            project: normalized(project),
            // A version's local part is written with `_` in file names; `!` of an epoch may be too.
            version: Version::from_str(&version.replace('_', "-")).or_else(|_| Version::from_str(version)).ok()?,
            pythons: set(python),
            abis: set(abi),
            platforms: set(platform),
        })
    }

    /// How well it fits: the lowest index in `ranks` of any of its tags; none if it does not fit.
    pub(super) fn rank(&self, ranks: &TagRanks) -> Option<usize> {
        let tags = self.pythons.iter().flat_map(|python| {
            self.abis.iter().flat_map(move |abi| self.platforms.iter().map(move |platform| (python, abi, platform)))
        });
        tags.filter_map(|(python, abi, platform)| {
            let tag = Tag { python: python.clone(), abi: abi.clone(), platform: platform.clone() };
            ranks.get(&tag).copied()
        })
        .min()
    }
}

/// Tags by preference: 0 is the best.
pub(super) type TagRanks = HashMap<Tag, usize>;

pub(super) fn ranks(tags: Vec<Tag>) -> TagRanks {
    tags.into_iter().enumerate().map(|(rank, tag)| (tag, rank)).collect()
}

/// A project's name as PEP 503 compares it: lowercase, runs of `-_.` as one `-`.
pub(crate) fn normalized(name: &str) -> String {
    let parts: Vec<&str> = name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
    parts.join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_a_build_number_are_read() {
        for name in ["A_b.c-1.0-py3-none-any.whl", "A_b.c-1.0-2build-py3-none-any.whl"] {
            let wheel = WheelName::parse(name).expect(name);
            assert_eq!((wheel.project.as_str(), wheel.version.to_string().as_str()), ("a-b-c", "1.0"));
        }
        assert!(WheelName::parse("x-1.0+local.1-py3-none-any.whl").is_some());
    }

    #[test]
    fn anything_else_is_no_wheel() {
        for name in ["", "x.whl", "x-1.0.whl", "x-1.0-py3-none-any", "x-one-py3-none-any.whl", "a-1-b-c-d-e-f.whl"] {
            assert!(WheelName::parse(name).is_none(), "{name}");
        }
    }

    #[test]
    fn the_best_of_its_tags_counts() {
        let tag = |python: &str| Tag { python: python.into(), abi: "none".into(), platform: "any".into() };
        let ranks = ranks(vec![tag("py311"), tag("py3"), tag("py2")]);
        let rank = |name| WheelName::parse(name).expect("a wheel").rank(&ranks);
        assert_eq!(rank("x-1-py2.py3-none-any.whl"), Some(1));
        assert_eq!(rank("x-1-py4-none-any.whl"), None);
    }
}
