//! Judges a whole run: its inputs, outputs and dead letters, and the offsets sampled while it ran.

use std::collections::{BTreeMap, HashMap};

use super::OutputTally;
use crate::kcat::Record;

/// The processing guarantee of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

impl Guarantee {
    /// The value of `processing_guarantee` in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at_least_once",
            Self::ExactlyOnce => "exactly_once",
        }
    }
}

/// What was committed at one moment, and the end offsets of the topics right after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffsetSample {
    /// By partition of the input.
    pub committed: BTreeMap<i32, i64>,
    pub output_ends: BTreeMap<i32, i64>,
    pub dead_ends: BTreeMap<i32, i64>,
}

/// Everything that foreign clients read.
#[derive(Debug, Default)]
pub struct ObservedRecords {
    /// Each input has its own value.
    pub inputs: Vec<Record>,
    /// As a `read_committed` reader sees them.
    pub outputs: Vec<Record>,
    /// As a `read_committed` reader sees them.
    pub dead: Vec<Record>,
    /// In the order in which they were taken.
    pub samples: Vec<OffsetSample>,
}

/// What is wrong with a run. An input is named by its value.
#[derive(Debug, Default)]
pub struct OracleReport {
    /// Inputs without an output or a dead letter.
    pub lost: Vec<String>,
    /// Additional outputs, or dead letters, of the same input.
    pub repeated: Vec<String>,
    /// Outputs and dead letters without an input.
    pub foreign: Vec<String>,
    /// Pairs of a key whose first outputs are in the wrong order.
    pub out_of_order: Vec<(String, String)>,
    /// Inputs with an output *and* a dead letter.
    pub emitted_and_dead: Vec<String>,
    /// Inputs below a committed offset without an output or a dead letter when it was committed.
    pub passed_unfinished: Vec<String>,
    /// Inputs whose output was written again after an offset above them was committed: outside the replay window.
    pub replayed_finished: Vec<String>,
    /// Partitions whose committed offset decreased: partition, from, to.
    pub decreased_commits: Vec<(i32, i64, i64)>,
}

impl OracleReport {
    pub fn of(observed: &ObservedRecords) -> Self {
        let values = || observed.inputs.iter().map(|input| input.text().to_lowercase());
        let mut outputs = OutputTally::new(values().collect());
        in_order(&observed.outputs).into_iter().for_each(|record| {
            outputs.add(record);
        });
        let mut dead = OutputTally::new(values().collect());
        in_order(&observed.dead).into_iter().for_each(|record| {
            dead.add(record);
        });
        let written = WrittenPositions { outputs: positions(&observed.outputs), dead: positions(&observed.dead) };
        let mut report = Self {
            repeated: [outputs.repeated, dead.repeated].concat(),
            foreign: [outputs.foreign, dead.foreign].concat(),
            out_of_order: outputs.out_of_order,
            decreased_commits: decreased_commits(&observed.samples),
            ..Self::default()
        };
        for input in &observed.inputs {
            let value = input.text().to_lowercase();
            match (written.outputs.contains_key(&value), written.dead.contains_key(&value)) {
                (false, false) => report.lost.push(value.clone()),
                (true, true) => report.emitted_and_dead.push(value.clone()),
                _ => {}
            }
            // The first sample with a committed offset above this input.
            let passes =
                |sample: &&OffsetSample| sample.committed.get(&input.partition).is_some_and(|at| *at > input.offset);
            let Some(sample) = observed.samples.iter().find(passes) else { continue };
            if !written.before(&value, sample) {
                report.passed_unfinished.push(written.describe(input, sample));
            }
            if written.again_after(&value, sample) {
                report.replayed_finished.push(written.describe(input, sample));
            }
        }
        report
    }

    /// Panics if the run violates `guarantee`.
    #[track_caller]
    pub fn assert_holds(&self, guarantee: Guarantee) {
        let mut wrong = Vec::new();
        let mut say = |what: &str, count: usize, examples: String| {
            if count > 0 {
                wrong.push(format!("{count} {what}, for example {examples}"));
            }
        };
        say("lost", self.lost.len(), some(&self.lost));
        say("foreign", self.foreign.len(), some(&self.foreign));
        say("out of order", self.out_of_order.len(), some(&self.out_of_order));
        say("passed unfinished", self.passed_unfinished.len(), some(&self.passed_unfinished));
        say("replayed although committed", self.replayed_finished.len(), some(&self.replayed_finished));
        say("decreased commits", self.decreased_commits.len(), some(&self.decreased_commits));
        if guarantee == Guarantee::ExactlyOnce {
            say("repeated", self.repeated.len(), some(&self.repeated));
            say("both emitted and dead-lettered", self.emitted_and_dead.len(), some(&self.emitted_and_dead));
        }
        assert!(wrong.is_empty(), "{} does not hold: {}", guarantee.name(), wrong.join("; "));
    }
}

fn some<T: std::fmt::Debug>(found: &[T]) -> String {
    format!("{:?}", &found[..found.len().min(4)])
}

/// A key is in one partition, where its order is the order of the offsets.
fn in_order(records: &[Record]) -> Vec<&Record> {
    let mut ordered: Vec<&Record> = records.iter().collect();
    ordered.sort_by_key(|record| (record.partition, record.offset));
    ordered
}

struct WrittenPositions {
    outputs: HashMap<String, Vec<(i32, i64)>>,
    dead: HashMap<String, Vec<(i32, i64)>>,
}

impl WrittenPositions {
    fn before(&self, value: &str, sample: &OffsetSample) -> bool {
        let lies_before = |positions: &HashMap<String, Vec<(i32, i64)>>, ends: &BTreeMap<i32, i64>| {
            let mut found = positions.get(value).into_iter().flatten();
            found.any(|(partition, offset)| ends.get(partition).is_some_and(|end| offset < end))
        };
        lies_before(&self.outputs, &sample.output_ends) || lies_before(&self.dead, &sample.dead_ends)
    }

    /// Everything known about an input, for the failure message.
    fn describe(&self, input: &Record, sample: &OffsetSample) -> String {
        let value = input.text().to_lowercase();
        let found = |positions: &HashMap<String, Vec<(i32, i64)>>| positions.get(&value).cloned().unwrap_or_default();
        format!(
            "{value} (input {}/{}, committed {:?}, outputs {:?} of ends {:?}, dead letters {:?} of ends {:?})",
            input.partition,
            input.offset,
            sample.committed.get(&input.partition),
            found(&self.outputs),
            sample.output_ends,
            found(&self.dead),
            sample.dead_ends,
        )
    }

    fn again_after(&self, value: &str, sample: &OffsetSample) -> bool {
        let mut found = self.outputs.get(value).into_iter().flatten();
        self.before(value, sample)
            && found.any(|(partition, offset)| sample.output_ends.get(partition).is_some_and(|end| offset >= end))
    }
}

fn positions(records: &[Record]) -> HashMap<String, Vec<(i32, i64)>> {
    let mut positions: HashMap<String, Vec<(i32, i64)>> = HashMap::new();
    for record in records {
        positions.entry(record.text().to_lowercase()).or_default().push((record.partition, record.offset));
    }
    positions
}

fn decreased_commits(samples: &[OffsetSample]) -> Vec<(i32, i64, i64)> {
    let mut highest: BTreeMap<i32, i64> = BTreeMap::new();
    let mut found = Vec::new();
    for (partition, at) in samples.iter().flat_map(|sample| &sample.committed) {
        let before = highest.insert(*partition, *at).unwrap_or(i64::MIN);
        if *at < before {
            found.push((*partition, before, *at));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, value: &str) -> Record {
        let (key, _) = value.split_once('/').expect("key/number");
        let (key, value) = (Some(key.as_bytes().to_vec()), Some(value.as_bytes().to_vec()));
        Record { partition: 0, offset, key, value, headers: Vec::new() }
    }

    fn names(found: &[String]) -> impl Iterator<Item = &str> {
        found.iter().filter_map(|described| described.split(' ').next())
    }

    fn sample(committed: i64, output_end: i64) -> OffsetSample {
        let at = |offset| BTreeMap::from([(0, offset)]);
        OffsetSample { committed: at(committed), output_ends: at(output_end), dead_ends: at(0) }
    }

    /// A correct run of three inputs: two outputs and a dead letter.
    fn good() -> ObservedRecords {
        ObservedRecords {
            inputs: vec![record(0, "a/1"), record(1, "b/1"), record(2, "a/2")],
            outputs: vec![record(0, "A/1"), record(1, "A/2")],
            dead: vec![record(0, "b/1")],
            samples: vec![sample(0, 0), sample(1, 1)],
        }
    }

    #[test]
    fn a_correct_run_passes() {
        for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
            OracleReport::of(&good()).assert_holds(guarantee);
        }
    }

    #[test]
    fn a_loss_is_found() {
        let mut observed = good();
        observed.dead.clear();
        assert_eq!(OracleReport::of(&observed).lost, ["b/1"]);
    }

    #[test]
    fn a_repetition_is_found_and_only_one_guarantee_allows_it() {
        let mut observed = good();
        observed.outputs.push(record(2, "a/2"));
        let report = OracleReport::of(&observed);
        assert_eq!(report.repeated, ["a/2"]);
        report.assert_holds(Guarantee::AtLeastOnce);
        let outcome = std::panic::catch_unwind(|| report.assert_holds(Guarantee::ExactlyOnce));
        assert!(outcome.is_err());
        observed.dead.push(record(1, "b/1"));
        assert_eq!(OracleReport::of(&observed).repeated, ["a/2", "b/1"]);
    }

    #[test]
    fn a_repetition_of_what_was_committed_is_not_a_replay() {
        let mut observed = good();
        observed.outputs.push(record(2, "a/1"));
        assert!(names(&OracleReport::of(&observed).replayed_finished).eq(["a/1"]));
        // Without the sample that saw the commit, it may be a replay.
        observed.samples.pop();
        assert!(OracleReport::of(&observed).replayed_finished.is_empty());
    }

    #[test]
    fn a_commit_above_unfinished_work_is_found() {
        let mut observed = good();
        observed.samples = vec![sample(1, 0)];
        assert!(names(&OracleReport::of(&observed).passed_unfinished).eq(["a/1"]), "its output came after the commit");
        observed.samples = vec![sample(2, 1)];
        assert!(
            names(&OracleReport::of(&observed).passed_unfinished).eq(["b/1"]),
            "its dead letter came after the commit"
        );
        observed.samples[0].dead_ends.insert(0, 1);
        assert!(OracleReport::of(&observed).passed_unfinished.is_empty());
    }

    #[test]
    fn wrong_order_foreign_outputs_and_decreased_offsets_are_found() {
        let mut observed = good();
        observed.dead.push(record(1, "a/1"));
        observed.outputs = vec![record(0, "A/2"), record(1, "A/1"), record(2, "c/1")];
        observed.samples = vec![sample(1, 5), sample(0, 5)];
        let report = OracleReport::of(&observed);
        assert_eq!(report.emitted_and_dead, ["a/1"]);
        assert_eq!(report.out_of_order, [("a/2".to_owned(), "a/1".to_owned())]);
        assert_eq!(report.foreign, ["c/1"]);
        assert_eq!(report.decreased_commits, [(0, 1, 0)]);
        assert!(std::panic::catch_unwind(|| report.assert_holds(Guarantee::AtLeastOnce)).is_err());
    }
}
