//! Each bad field is refused by its own name; what is left out gets its default.

use std::{collections::HashMap, time::Duration};

use pexvisor_proto::v1::{self, command::Kind};
use prost_types::Duration as WireDuration;

use super::*;
use crate::words::{ArtifactSource, CommandKind, DagsterCode, Limits};

fn good() -> v1::DeployRequest {
    let artifact = v1::Artifact { sha256: "07".repeat(32), location: String::new() };
    let revision = v1::RevisionSpec {
        artifacts: vec![artifact],
        command: Some(v1::Command { kind: Some(Kind::Module("server".to_owned())), args: Vec::new() }),
        ..Default::default()
    };
    v1::DeployRequest { environment: "etl".to_owned(), revision: Some(revision), ..Default::default() }
}

/// A Deploy that is good but for what `change` does to it.
fn with(change: impl FnOnce(&mut v1::DeployRequest)) -> v1::DeployRequest {
    let mut request = good();
    change(&mut request);
    request
}

/// The same for its revision.
fn with_spec(change: impl FnOnce(&mut v1::RevisionSpec)) -> v1::DeployRequest {
    with(|request| change(request.revision.as_mut().expect("a good request has a revision")))
}

fn with_kind(kind: Kind) -> v1::DeployRequest {
    with_spec(|spec| spec.command.as_mut().expect("a good request has a command").kind = Some(kind))
}

fn with_location(location: &str) -> v1::DeployRequest {
    with_spec(|spec| spec.artifacts[0].location = location.to_owned())
}

fn with_env(name: &str, value: &str) -> v1::DeployRequest {
    with_spec(|spec| spec.env = HashMap::from([(name.to_owned(), value.to_owned())]))
}

fn with_limits(limits: v1::Limits) -> v1::DeployRequest {
    with_spec(|spec| spec.limits = Some(limits))
}

fn with_args(args: Vec<String>) -> v1::DeployRequest {
    with_spec(|spec| spec.command.as_mut().expect("a good request has a command").args = args)
}

fn dagster() -> v1::DagsterProfile {
    v1::DagsterProfile { package_name: "my_etl".to_owned(), ..Default::default() }
}

fn start_timeout(seconds: i64) -> v1::DeployRequest {
    let start_timeout = Some(WireDuration { seconds, nanos: 0 });
    with_spec(|spec| spec.readiness = Some(v1::Readiness { start_timeout, ..Default::default() }))
}

fn refused(request: v1::DeployRequest) -> BadField {
    let shown = format!("{request:?}");
    deploy(request).expect_err(&shown)
}

#[test]
fn what_is_left_out_gets_the_default_that_the_proto_names() {
    let Deploy { environment, spec, request_id, expected_revision } = deploy(good()).expect("it is good");
    assert_eq!(environment.as_str(), "etl");
    assert_eq!((request_id, expected_revision), (None, None));
    assert_eq!(spec.artifacts[0].source, ArtifactSource::Store);
    assert_eq!(spec.limits, Limits::default());
    assert_eq!(spec.interpreter, None);
    assert_eq!(spec.start_timeout, Duration::from_secs(180));
    assert_eq!(spec.drain_timeout, Duration::from_secs(30));
    assert_eq!(spec.terminate_timeout, Duration::from_secs(10));
    assert_eq!(spec.health_service, "");
}

#[test]
fn expected_revision_0_is_a_condition_and_none_is_not() {
    let parsed = deploy(with(|request| request.expected_revision = Some(0))).expect("it is good");
    assert_eq!(parsed.expected_revision, Some(0));
}

#[test]
fn a_drain_of_nothing_is_allowed_where_it_is_said() {
    let parsed = deploy(with_spec(|spec| spec.drain_timeout = Some(WireDuration::default()))).expect("it is good");
    assert_eq!(parsed.spec.drain_timeout, Duration::ZERO);
}

#[test]
fn each_missing_field_is_named() {
    assert_eq!(refused(v1::DeployRequest::default()).field, "environment");
    assert_eq!(refused(with(|request| request.revision = None)).field, "revision");
    assert_eq!(refused(with_spec(|spec| spec.artifacts.clear())).field, "revision.artifacts");
    assert_eq!(refused(with_spec(|spec| spec.command = None)).field, "revision.command");
    let empty_command = with_spec(|spec| spec.command = Some(v1::Command::default()));
    assert_eq!(refused(empty_command).field, "revision.command.kind");
}

#[test]
fn each_bad_name_of_an_environment_is_refused() {
    for bad in ["a/b", "a.b", "a b", "..", "😀", "A", "1", &"x".repeat(300)] {
        assert_eq!(refused(with(|request| request.environment = bad.to_owned())).field, "environment", "{bad}");
    }
}

#[test]
fn each_artifact_is_named_by_its_place() {
    let second =
        |sha256: String| with_spec(|spec| spec.artifacts.push(v1::Artifact { sha256, location: String::new() }));
    assert_eq!(refused(second(String::new())).field, "revision.artifacts[1].sha256");
    assert_eq!(refused(second("0A".repeat(32))).field, "revision.artifacts[1].sha256");
    assert_eq!(refused(second("07".repeat(32))).field, "revision.artifacts[1].sha256");
    let many = with_spec(|spec| spec.artifacts = vec![v1::Artifact::default(); 17]);
    assert_eq!(refused(many).field, "revision.artifacts");
}

#[test]
fn a_location_is_a_name_in_the_store_or_a_url() {
    let source = |location: &str| deploy(with_location(location)).map(|deploy| deploy.spec.artifacts[0].source.clone());
    let named = |text: &str| ArtifactSource::Named(text.to_owned());
    let url = |text: &str| ArtifactSource::Url(text.to_owned());
    assert_eq!(source("v1/deps.pex").expect("a name"), named("v1/deps.pex"));
    assert_eq!(source("https://h/a?X-Sig=1%2F2").expect("a URL"), url("https://h/a?X-Sig=1%2F2"));
    for bad in
        ["/etc/passwd", "../x", "a/../../x", "a//b", "./x", "s3://b/k", "file:///x", "a\nb", "http://", "http:///x"]
    {
        assert_eq!(refused(with_location(bad)).field, "revision.artifacts[0].location", "{bad}");
    }
    assert_eq!(refused(with_location(&"x".repeat(9000))).field, "revision.artifacts[0].location");
}

#[test]
fn a_bad_url_is_not_repeated_because_it_may_hold_a_signature() {
    let message = refused(with_location("https://host/a b?X-Amz-Signature=secret")).to_string();
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn each_bad_command_is_refused_by_its_field() {
    let dagster_with = |change: fn(&mut v1::DagsterProfile)| {
        let mut profile = dagster();
        change(&mut profile);
        with_kind(Kind::Dagster(profile))
    };
    let cases = [
        (with_kind(Kind::Module(String::new())), "module"),
        (with_kind(Kind::Module("-c".to_owned())), "module"),
        (with_kind(Kind::Module("a\0b".to_owned())), "module"),
        (with_kind(Kind::ConsoleScript("../sh".to_owned())), "console_script"),
        (with_kind(Kind::ConsoleScript("..".to_owned())), "console_script"),
        (with_kind(Kind::EntryPoint(false)), "entry_point"),
        (with_kind(Kind::Dagster(v1::DagsterProfile::default())), "dagster.package_name"),
        (dagster_with(|profile| profile.module_name = "m".to_owned()), "dagster.package_name"),
        (dagster_with(|profile| profile.attribute = "--x".to_owned()), "dagster.attribute"),
        (dagster_with(|profile| profile.working_directory = "/tmp".to_owned()), "dagster.working_directory"),
        (dagster_with(|profile| profile.working_directory = "a/../..".to_owned()), "dagster.working_directory"),
        (with_args(vec!["ok".to_owned(), "a\0".to_owned()]), "args[1]"),
        (with_args(vec!["x".repeat(100_000)]), "args[0]"),
        (with_args(vec!["x".repeat(60_000); 5]), "args"),
        (with_args(vec![String::new(); 1025]), "args"),
    ];
    for (request, field) in cases {
        assert_eq!(refused(request).field, format!("revision.command.{field}"));
    }
}

#[test]
fn the_dagster_profile_asks_for_the_service_that_dagster_serves() {
    let parsed = deploy(with_kind(Kind::Dagster(dagster()))).expect("it is good");
    assert_eq!(parsed.spec.health_service, "DagsterApi");
    let CommandKind::Dagster(profile) = parsed.spec.command.kind else { panic!("it is the dagster profile") };
    assert_eq!(profile.code, DagsterCode::Package("my_etl".to_owned()));
    assert_eq!(profile.working_directory, None);
}

#[test]
fn each_bad_variable_is_refused_by_its_name() {
    for (name, value) in [("", "x"), ("A=B", "x"), ("PEXVISOR_SOCKET", "x"), ("A\0", "x"), ("A", "x\0y")] {
        let field = refused(with_env(name, value)).field;
        assert_eq!(field, format!("revision.env[{name:?}]"));
    }
    assert_eq!(refused(with_env("BIG", &"x".repeat(130 << 10))).field, "revision.env[\"BIG\"]");
    let three: HashMap<_, _> = ["A", "B", "C"].map(|name| (name.to_owned(), "x".repeat(100 << 10))).into();
    assert_eq!(refused(with_spec(|spec| spec.env = three)).field, "revision.env");
}

#[test]
fn each_limit_that_nothing_could_run_under_is_refused() {
    let cases = [
        (v1::Limits { memory_bytes_max: 512, ..Default::default() }, "memory_bytes_max"),
        (v1::Limits { cpu_millis_max: 1, ..Default::default() }, "cpu_millis_max"),
        (v1::Limits { cpu_weight: 10_001, ..Default::default() }, "cpu_weight"),
        (v1::Limits { pids_max: 1, ..Default::default() }, "pids_max"),
        (v1::Limits { open_files_max: 3, ..Default::default() }, "open_files_max"),
    ];
    for (limits, field) in cases {
        assert_eq!(refused(with_limits(limits)).field, format!("revision.limits.{field}"));
    }
    let parsed = deploy(with_limits(v1::Limits { memory_bytes_max: 1 << 30, cpu_weight: 1, ..Default::default() }));
    let expected = Limits { memory_bytes_max: Some(1 << 30), cpu_weight: Some(1), ..Limits::default() };
    assert_eq!(parsed.expect("it is good").spec.limits, expected);
}

#[test]
fn each_bad_time_is_refused() {
    for seconds in [-1, 0, 3601, i64::MAX, i64::MIN] {
        assert_eq!(refused(start_timeout(seconds)).field, "revision.readiness.start_timeout", "{seconds}");
    }
    let long = Some(WireDuration { seconds: 3601, nanos: 0 });
    assert_eq!(refused(with_spec(|spec| spec.drain_timeout = long)).field, "revision.drain_timeout");
    assert_eq!(refused(with_spec(|spec| spec.terminate_timeout = long)).field, "revision.terminate_timeout");
    for nanos in [-5, 1_000_000_000, i32::MIN] {
        let broken = Some(WireDuration { seconds: 1, nanos });
        assert_eq!(refused(with_spec(|spec| spec.drain_timeout = broken)).field, "revision.drain_timeout", "{nanos}");
    }
}

#[test]
fn the_rest_is_bounded() {
    assert_eq!(refused(with(|request| request.request_id = "x".repeat(129))).field, "request_id");
    assert_eq!(refused(with_spec(|spec| spec.label = "x".repeat(257))).field, "revision.label");
    assert_eq!(refused(with_spec(|spec| spec.interpreter = "python3".to_owned())).field, "revision.interpreter");
}

#[test]
fn a_message_names_the_field_and_says_what_to_give() {
    let message = refused(with(|request| request.revision = None)).to_string();
    assert_eq!(message, "read field revision: it is missing; set it");
}
