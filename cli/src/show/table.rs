//! Environments as a table, and a change of one as a line.

use pexvisor_proto::v1;

use super::words;

const HEAD: [&str; 7] = ["NAME", "PHASE", "SINCE", "SERVING", "DEPLOYING", "RESTARTS", "LABEL"];

/// A table with a head, one environment per row.
pub fn table(environments: &[v1::Environment]) -> String {
    let head = HEAD.map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(environments.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    rows.iter().map(|row| line(row, &widths)).collect()
}

/// One change, as `watch` prints it.
pub fn change(event: &v1::WatchEvent) -> String {
    match &event.event {
        Some(v1::watch_event::Event::Changed(environment)) => {
            let [name, phase, _, serving, deploying, restarts, _] = row(environment);
            let time = words::clock(environment.phase_since.as_ref());
            let generations: Vec<_> = environment.generations.iter().filter_map(living).collect();
            let revisions = format!("serving={serving} deploying={deploying} restarts={restarts}");
            format!("{name} {phase} since {time} {revisions} generations={}\n", generations.join(","))
        }
        Some(v1::watch_event::Event::Removed(name)) => format!("{name} removed\n"),
        None => String::new(),
    }
}

fn row(environment: &v1::Environment) -> [String; HEAD.len()] {
    let label = environment.revision.as_ref().map(|spec| spec.label.replace(char::is_control, " "));
    [
        environment.name.clone(),
        words::phase(environment.phase()),
        words::age(environment.phase_since.as_ref()),
        words::number(environment.serving_revision),
        words::number(environment.deploying_revision),
        environment.restarts.to_string(),
        label.unwrap_or_default(),
    ]
}

/// `4:draining`; the dead are history.
fn living(generation: &v1::Generation) -> Option<String> {
    let phase = generation.phase();
    (phase != v1::GenerationPhase::Ended).then(|| format!("{}:{}", generation.number, words::generation_phase(phase)))
}

fn line(row: &[String; HEAD.len()], widths: &[usize; HEAD.len()]) -> String {
    let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", cells.join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> v1::Environment {
        let phase = v1::Phase::Serving.into();
        v1::Environment { name: name.to_owned(), phase, serving_revision: 12, ..Default::default() }
    }

    #[test]
    fn columns_line_up_under_their_heads() {
        let text = table(&[environment("a"), environment("a-much-longer-name")]);
        let lines: Vec<_> = text.lines().collect();
        let at = lines[0].find("SERVING").expect("a head");
        assert!(lines[1..].iter().all(|line| line[at..].starts_with("12")), "{text}");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_removal_is_a_change_too() {
        let event = v1::WatchEvent { event: Some(v1::watch_event::Event::Removed("etl".to_owned())) };
        assert_eq!(change(&event), "etl removed\n");
    }
}
