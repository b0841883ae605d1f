//! PEX-INFO: what a pex says of itself. Unknown keys are ignored: each pex version has others.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::PexError;

/// The keys of PEX-INFO that matter here. None of its hashes is believed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PexInfo {
    /// Wheel names; the values are fingerprints, which are claims.
    pub distributions: BTreeMap<String, serde_json::Value>,
    /// What was asked for, in resolve order.
    pub requirements: Vec<String>,
    /// Requirements that are left out on purpose.
    pub excluded: Vec<String>,
    /// Requirements that replace those of distributions.
    pub overridden: Vec<String>,
    /// Any of these must hold; empty: any interpreter will do.
    pub interpreter_constraints: Vec<String>,
    /// Whether `.deps/NAME.whl` are wheel files, not installed trees.
    pub deps_are_wheel_files: bool,
    /// Whether missing requirements are to be ignored.
    pub ignore_errors: bool,
    /// `module` or `module:attribute`.
    pub entry_point: Option<String>,
    /// A console script.
    pub script: Option<String>,
    /// Environment variables.
    pub inject_env: BTreeMap<String, String>,
    /// Arguments.
    pub inject_args: Vec<String>,
    /// Whether `PEX_*` variables are removed.
    #[serde(default = "yes")]
    pub strip_pex_env: bool,
    /// A hash of what went in: what Dagster's clients name a pex by.
    pub pex_hash: Option<String>,
}

fn yes() -> bool {
    true
}

impl PexInfo {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, PexError> {
        let mut value: serde_json::Value = serde_json::from_slice(bytes).map_err(PexError::Info)?;
        let Some(object) = value.as_object_mut() else {
            return Err(PexError::InfoValue { problem: "it is no JSON object".into() });
        };
        // An explicit null means "not set" for every key.
        object.retain(|_, value| !value.is_null());
        let info: Self = serde_json::from_value(value).map_err(PexError::Info)?;
        match info.distributions.keys().find(|name| name.contains('/') || name.starts_with('.')) {
            Some(name) => Err(PexError::InfoValue { problem: format!("distribution name {name:?} is a path") }),
            None => Ok(info),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_nulls_are_ignored() {
        let info = PexInfo::parse(br#"{"future": {"a": 1}, "entry_point": null, "requirements": null}"#).expect("fine");
        assert_eq!(info.entry_point, None);
        assert!(info.strip_pex_env);
    }

    #[test]
    fn what_is_no_object_or_has_other_types_is_refused() {
        for bad in ["", "[]", "1", r#"{"distributions": 1}"#, r#"{"distributions": {"../x": ""}}"#] {
            assert!(PexInfo::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
