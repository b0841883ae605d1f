//! Answers as JSON: the API's field names, enums as lower-case words, times in RFC 3339, 0 where the API has 0 for none.

use pexvisor_proto::v1::{self, deploy_event::Event, stage_event, watch_event};
use prost_types::{Duration, Timestamp};
use serde_json::{Value, json};

use super::words;

/// An Environment.
pub fn environment(it: &v1::Environment) -> Value {
    json!({
        "name": it.name,
        "version": it.version,
        "phase": words::phase(it.phase()),
        "phase_since": time(it.phase_since.as_ref()),
        "newest_revision": it.newest_revision,
        "serving_revision": it.serving_revision,
        "deploying_revision": it.deploying_revision,
        "previous_revision": it.previous_revision,
        "generations": it.generations.iter().map(generation).collect::<Vec<_>>(),
        "last_failure": it.last_failure.as_ref().map(failure),
        "restarts": it.restarts,
        "next_restart": time(it.next_restart.as_ref()),
        "socket": it.socket,
        "revision": it.revision.as_ref().map(revision),
        "image": it.image,
    })
}

/// A WatchEvent.
pub fn watch_event(it: &v1::WatchEvent) -> Value {
    match &it.event {
        Some(watch_event::Event::Changed(changed)) => json!({ "changed": environment(changed) }),
        Some(watch_event::Event::Removed(name)) => json!({ "removed": name }),
        None => json!({}),
    }
}

/// A DeployEvent.
pub fn deploy_event(it: &v1::DeployEvent) -> Value {
    let mut value = json!({
        "sequence": it.sequence,
        "time": time(it.time.as_ref()),
        "environment": it.environment,
        "revision": it.revision,
    });
    if let Some((name, body)) = it.event.as_ref().map(step) {
        value[name] = body;
    }
    value
}

/// A StageEvent.
pub fn stage_event(it: &v1::StageEvent) -> Value {
    match &it.event {
        Some(stage_event::Event::Fetching(it)) => json!({ "fetching": fetching(it) }),
        Some(stage_event::Event::Installing(it)) => json!({ "installing": installing(it) }),
        Some(stage_event::Event::Ready(_)) => json!({ "ready": {} }),
        Some(stage_event::Event::Failed(it)) => json!({ "failed": failure(it) }),
        None => json!({}),
    }
}

/// A LogLine; bytes that are no UTF-8 are replaced.
pub fn log_line(it: &v1::LogLine) -> Value {
    json!({
        "time": time(it.time.as_ref()),
        "generation": it.generation,
        "stream": words::stream(it.stream()),
        "line": String::from_utf8_lossy(&it.line),
        "lost": it.lost,
    })
}

/// A DescribeResponse.
pub fn describe(it: &v1::DescribeResponse) -> Value {
    json!({
        "version": it.version,
        "started": time(it.started.as_ref()),
        "image": it.image,
        "store": it.store,
        "proxy_address": it.proxy_address,
        "interpreters": it.interpreters.iter().map(|it| json!({
            "path": it.path, "version": it.version, "implementation": it.implementation,
        })).collect::<Vec<_>>(),
        "enforcement": it.enforcement.iter().map(|it| json!({
            "resource": it.resource, "tier": it.tier, "reason": it.reason,
        })).collect::<Vec<_>>(),
        "capacity": it.capacity.as_ref().map(|it| json!({
            "memory_bytes": it.memory_bytes, "cpu_millis": it.cpu_millis, "disk_bytes_free": it.disk_bytes_free,
        })),
        "cache": it.cache.as_ref().map(|it| json!({
            "bytes": it.bytes, "bytes_quota": it.bytes_quota, "artifacts": it.artifacts, "installs": it.installs,
        })),
    })
}

fn step(event: &Event) -> (&'static str, Value) {
    match event {
        Event::Accepted(_) => ("accepted", json!({})),
        Event::Fetching(it) => ("fetching", fetching(it)),
        Event::Installing(it) => ("installing", installing(it)),
        Event::Starting(it) => ("starting", json!({ "generation": it.generation })),
        Event::Ready(it) => {
            ("ready", json!({ "generation": it.generation, "timings": it.timings.as_ref().map(timings) }))
        }
        Event::Failed(it) => {
            let serving = it.still_serving_generation;
            ("failed", json!({ "failure": it.failure.as_ref().map(failure), "still_serving_generation": serving }))
        }
        Event::Superseded(it) => ("superseded", json!({ "by_revision": it.by_revision })),
    }
}

fn fetching(it: &v1::deploy_event::Fetching) -> Value {
    json!({ "sha256": it.sha256, "bytes": it.bytes, "bytes_total": it.bytes_total, "cached": it.cached })
}

fn installing(it: &v1::deploy_event::Installing) -> Value {
    json!({ "sha256": it.sha256, "cached": it.cached, "done": it.done })
}

fn timings(it: &v1::Timings) -> Value {
    json!({
        "accept_us": it.accept_us,
        "fetch_us": it.fetch_us,
        "install_us": it.install_us,
        "start_us": it.start_us,
        "cut_over_us": it.cut_over_us,
        "total_us": it.total_us,
    })
}

fn failure(it: &v1::Failure) -> Value {
    json!({
        "reason": words::reason(it.reason()),
        "message": it.message,
        "traceback": it.traceback,
        "output_tail": it.output_tail,
        "exit": it.exit.as_ref().map(exit),
    })
}

fn exit(it: &v1::Exit) -> Value {
    let mut value = json!({ "out_of_memory": it.out_of_memory, "memory_bytes_peak": it.memory_bytes_peak });
    match it.how {
        Some(v1::exit::How::Code(code)) => value["code"] = code.into(),
        Some(v1::exit::How::Signal(signal)) => value["signal"] = signal.into(),
        None => {}
    }
    value
}

fn generation(it: &v1::Generation) -> Value {
    json!({
        "number": it.number,
        "revision": it.revision,
        "phase": words::generation_phase(it.phase()),
        "pid": it.pid,
        "started": time(it.started.as_ref()),
        "ready": time(it.ready.as_ref()),
        "ended": time(it.ended.as_ref()),
        "calls_in_flight": it.calls_in_flight,
        "exit": it.exit.as_ref().map(exit),
    })
}

fn revision(it: &v1::RevisionSpec) -> Value {
    let sorted: std::collections::BTreeMap<_, _> = it.env.iter().collect();
    json!({
        "artifacts": it.artifacts.iter().map(|it| json!({
            "sha256": it.sha256, "location": it.location,
        })).collect::<Vec<_>>(),
        "command": it.command.as_ref().map(command),
        "env": sorted,
        "limits": it.limits.as_ref().map(limits),
        "interpreter": it.interpreter,
        "readiness": it.readiness.as_ref().map(|it| json!({
            "start_timeout": seconds(it.start_timeout.as_ref()), "health_service": it.health_service,
        })),
        "drain_timeout": seconds(it.drain_timeout.as_ref()),
        "terminate_timeout": seconds(it.terminate_timeout.as_ref()),
        "label": it.label,
    })
}

fn command(it: &v1::Command) -> Value {
    let mut value = json!({ "args": it.args });
    match &it.kind {
        Some(v1::command::Kind::Module(module)) => value["module"] = json!(module),
        Some(v1::command::Kind::ConsoleScript(script)) => value["console_script"] = json!(script),
        Some(v1::command::Kind::EntryPoint(set)) => value["entry_point"] = json!(set),
        Some(v1::command::Kind::Dagster(it)) => {
            value["dagster"] = json!({
                "package_name": it.package_name,
                "module_name": it.module_name,
                "python_file": it.python_file,
                "attribute": it.attribute,
                "working_directory": it.working_directory,
                "location_name": it.location_name,
            });
        }
        None => {}
    }
    value
}

fn limits(it: &v1::Limits) -> Value {
    json!({
        "memory_bytes_max": it.memory_bytes_max,
        "cpu_millis_max": it.cpu_millis_max,
        "cpu_weight": it.cpu_weight,
        "pids_max": it.pids_max,
        "open_files_max": it.open_files_max,
        "scratch_bytes_max": it.scratch_bytes_max,
    })
}

fn time(time: Option<&Timestamp>) -> Value {
    time.map(ToString::to_string).into()
}

/// As protobuf's own JSON has it: `1.500s`.
fn seconds(duration: Option<&Duration>) -> Value {
    duration.map(ToString::to_string).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_keeps_the_field_names_of_the_api() {
        let phase_since = Some(Timestamp { seconds: 0, nanos: 0 });
        let phase = v1::Phase::CrashLoop.into();
        let it = v1::Environment { name: "etl".to_owned(), phase, phase_since, restarts: 9, ..Default::default() };
        let value = environment(&it);
        assert_eq!(value["phase"], "crash-loop");
        assert_eq!(value["phase_since"], "1970-01-01T00:00:00Z");
        assert_eq!((&value["restarts"], &value["serving_revision"]), (&json!(9), &json!(0)));
        assert_eq!(value["last_failure"], Value::Null);
    }

    #[test]
    fn bytes_that_are_no_text_do_not_break_the_line() {
        let line = v1::LogLine { line: b"a\xff\n".to_vec(), ..Default::default() };
        assert_eq!(log_line(&line).to_string().lines().count(), 1);
    }
}
