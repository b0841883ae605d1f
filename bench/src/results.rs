//! The measures: samples by side, their medians and ratios, and the JSON file.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Whose figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Peer,
    Pexvisor,
    Direct,
    Nginx,
}

/// Whether a large figure is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
}

/// One thing that is measured.
pub struct Kind {
    pub name: &'static str,
    pub unit: &'static str,
    pub better: Better,
    /// For the table.
    pub says: &'static str,
}

/// Everything that a run can measure, in the table's order.
pub const KINDS: [Kind; 9] = [
    kind("first_deploy", "ms", "first deploy: deps and source never seen"),
    kind("fast_deploy", "ms", "fast deploy: new source, deps cached"),
    kind("same_pexes", "ms", "the same pexes again"),
    kind("call_p50", "ms", "one call at a time to a Dagster code server, p50"),
    kind("call_p99", "ms", "the same, p99"),
    kind("echo_p50", "ms", "one call at a time to a native echo server, p50"),
    Kind {
        name: "echo_rate",
        unit: "calls/s",
        better: Better::Higher,
        says: "the same, 32 calls at once on one connection",
    },
    kind("server_memory", "MB", "memory of the server itself, idle (PSS)"),
    kind("ready", "ms", "process start to control door answers"),
];

const fn kind(name: &'static str, unit: &'static str, says: &'static str) -> Kind {
    Kind { name, unit, better: Better::Lower, says }
}

/// The samples of one measure.
#[derive(Default)]
pub struct Measure {
    samples: BTreeMap<Side, Vec<f64>>,
    cpu: BTreeMap<Side, Vec<f64>>,
    cpu_until_idle: BTreeMap<Side, Vec<f64>>,
}

/// All measures of a run, by name.
#[derive(Default)]
pub struct Results {
    measures: BTreeMap<&'static str, Measure>,
}

impl Results {
    /// Takes one sample.
    pub fn add(&mut self, name: &'static str, side: Side, value: f64) {
        self.measures.entry(name).or_default().samples.entry(side).or_default().push(value);
    }

    /// Takes one sample of a time, with the CPU time of the server's whole tree beside it.
    pub fn add_timed(&mut self, name: &'static str, side: Side, wall: Duration, cpu: Duration, until_idle: Duration) {
        self.add(name, side, ms(wall));
        let measure = self.measures.entry(name).or_default();
        measure.cpu.entry(side).or_default().push(ms(cpu));
        measure.cpu_until_idle.entry(side).or_default().push(ms(until_idle));
    }

    /// The measure, if the run took it.
    pub fn get(&self, name: &str) -> Option<&Measure> {
        self.measures.get(name)
    }

    /// The whole as the JSON file has it: one object per measure.
    pub fn json(&self) -> Value {
        let taken = KINDS.iter().filter_map(|kind| Some((kind.name.to_owned(), self.get(kind.name)?.json(kind))));
        Value::Object(taken.collect())
    }
}

impl Measure {
    /// The median of a side's samples.
    pub fn median(&self, side: Side) -> Option<f64> {
        median(self.samples.get(&side)?)
    }

    /// The median CPU time in ms until the clock stopped.
    pub fn cpu_ms(&self, side: Side) -> Option<f64> {
        median(self.cpu.get(&side)?)
    }

    /// How many times better pexvisor is than `side`.
    pub fn ratio(&self, side: Side, better: Better) -> Option<f64> {
        let (other, own) = (self.median(side)?, self.median(Side::Pexvisor)?);
        Some(match better {
            Better::Lower => other / own,
            Better::Higher => own / other,
        })
    }

    /// How often pexvisor was measured.
    fn runs(&self) -> usize {
        self.samples.values().map(Vec::len).max().unwrap_or(0)
    }

    fn json(&self, kind: &Kind) -> Value {
        let mut object = Map::new();
        for side in [Side::Peer, Side::Pexvisor, Side::Direct, Side::Nginx] {
            put(&mut object, name_of(side), self.median(side));
        }
        put(&mut object, "ratio", self.ratio(Side::Peer, kind.better));
        put(&mut object, "ratio_nginx", self.ratio(Side::Nginx, kind.better));
        object.insert("unit".into(), json!(kind.unit));
        object.insert("runs".into(), json!(self.runs()));
        object.insert("samples".into(), json!(by_name(&self.samples)));
        if !self.cpu.is_empty() {
            object.insert("cpu_ms".into(), json!(by_name(&self.cpu)));
            object.insert("cpu_ms_until_idle".into(), json!(by_name(&self.cpu_until_idle)));
        }
        Value::Object(object)
    }
}

fn put(object: &mut Map<String, Value>, name: &str, value: Option<f64>) {
    if let Some(value) = value {
        object.insert(name.into(), json!(rounded(value)));
    }
}

fn by_name(samples: &BTreeMap<Side, Vec<f64>>) -> BTreeMap<&'static str, Vec<f64>> {
    samples.iter().map(|(side, values)| (name_of(*side), values.iter().copied().map(rounded).collect())).collect()
}

fn name_of(side: Side) -> &'static str {
    match side {
        Side::Peer => "peer",
        Side::Pexvisor => "pexvisor",
        Side::Direct => "direct",
        Side::Nginx => "nginx",
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Four decimals: a tenth of a microsecond where the unit is ms.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_says_how_many_times_better_pexvisor_is() {
        let mut results = Results::default();
        for (side, value) in [(Side::Peer, 8.0), (Side::Pexvisor, 2.0)] {
            results.add("fast_deploy", side, value);
            results.add("echo_rate", side, value);
        }
        let json = results.json();
        assert_eq!(json["fast_deploy"]["ratio"], json!(4.0));
        assert_eq!(json["echo_rate"]["ratio"], json!(0.25));
    }

    #[test]
    fn one_outlier_does_not_move_the_median() {
        assert_eq!(median(&[1.0, 2.0, 900.0]), Some(2.0));
        assert_eq!(median(&[1.0, 3.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn what_was_not_measured_is_not_in_the_file() {
        assert_eq!(Results::default().json(), json!({}));
    }
}
