//! Which environment a call is for: read from its headers, before anything is looked up.
//!
//! In this order: the door it came in at, `x-pexvisor-environment`, Dagster's metadata, the first label of the host.

use http::{HeaderMap, Uri};

use super::refuse::Refusal;
use crate::words::EnvironmentName;

const ENVIRONMENT: &str = "x-pexvisor-environment";
const DAGSTER_DEPLOYMENT: &str = "deployment";
const DAGSTER_LOCATION: &str = "location";

/// Where a call wants to go.
#[derive(Debug)]
pub struct Destination {
    /// The environment.
    pub name: EnvironmentName,
    /// How sure that is.
    pub source: Source,
}

/// What named the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The caller's metadata or the environment's own socket: it can be meant for nothing else.
    Explicit,
    /// The host that the client connected to, which may be a name of the whole supervisor.
    Host,
}

/// Reads the destination of a call that came in at the door of `fixed`, or at the common one.
pub fn of(fixed: Option<&EnvironmentName>, uri: &Uri, headers: &HeaderMap) -> Result<Destination, Refusal> {
    if let Some(name) = fixed {
        return Ok(explicit(name.clone()));
    }
    if let Some(name) = headers.get(ENVIRONMENT) {
        return Ok(explicit(String::from_utf8_lossy(name.as_bytes()).parse()?));
    }
    if let Some(name) = dagster_location(headers) {
        return Ok(explicit(name));
    }
    match first_label(uri) {
        Some(name) => Ok(Destination { name, source: Source::Host }),
        None => Err(Refusal::NoRoute),
    }
}

fn explicit(name: EnvironmentName) -> Destination {
    Destination { name, source: Source::Explicit }
}

/// A location of Dagster's multipex protocol, where it can be an environment's name.
fn dagster_location(headers: &HeaderMap) -> Option<EnvironmentName> {
    headers.get(DAGSTER_DEPLOYMENT)?;
    headers.get(DAGSTER_LOCATION)?.to_str().ok()?.parse().ok()
}

/// The first label of the host. Addresses begin with a digit or a bracket and so are no names; `localhost` is no route.
fn first_label(uri: &Uri) -> Option<EnvironmentName> {
    let (label, _) = uri.host()?.split_once('.').unwrap_or((uri.host()?, ""));
    // Host names do not tell cases apart (RFC 4343).
    let name = label.to_ascii_lowercase().parse().ok()?;
    (label != "localhost").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(authority: &str, metadata: &[(&'static str, &'static str)]) -> Result<Destination, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in metadata {
            headers.insert(*name, http::HeaderValue::from_static(value));
        }
        of(None, &format!("http://{authority}/svc/Method").parse().unwrap(), &headers)
    }

    #[test]
    fn metadata_comes_before_dagsters_which_comes_before_the_host() {
        let dagster = [("deployment", "prod"), ("location", "sales"), ("timestamp", "1")];
        let both = [("x-pexvisor-environment", "ours"), dagster[0], dagster[1], dagster[2]];
        assert_eq!(destination("etl.code.svc:4266", &both).unwrap().name.as_str(), "ours");
        assert_eq!(destination("etl.code.svc:4266", &dagster).unwrap().name.as_str(), "sales");
        let host = destination("etl.code.svc:4266", &[]).unwrap();
        assert_eq!((host.name.as_str(), host.source), ("etl", Source::Host));
    }

    #[test]
    fn an_environments_own_door_is_left_by_no_header() {
        let mut headers = HeaderMap::new();
        headers.insert(ENVIRONMENT, http::HeaderValue::from_static("other"));
        let etl = "etl".parse().unwrap();
        let found = of(Some(&etl), &Uri::from_static("http://third/x"), &headers).unwrap();
        assert_eq!(found.name, etl);
    }

    #[test]
    fn hosts_are_lowercased_and_addresses_are_no_names() {
        assert_eq!(destination("ETL.code:1", &[]).unwrap().name.as_str(), "etl");
        assert_eq!(destination("etl", &[]).unwrap().name.as_str(), "etl");
        for none in ["localhost:4266", "localhost", "127.0.0.1:4266", "[::1]:4266", "10.2.3.4", "-tmp-a-b.sock"] {
            assert!(matches!(destination(none, &[]), Err(Refusal::NoRoute)), "{none}");
        }
    }

    #[test]
    fn a_bad_name_in_metadata_is_told_and_not_passed_over() {
        let bad = destination("etl.code.svc", &[("x-pexvisor-environment", "No Such/Name")]);
        assert!(matches!(bad, Err(Refusal::BadName(_))));
    }
}
