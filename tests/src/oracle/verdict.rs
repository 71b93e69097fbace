//! What all evidence of a run together says: inputs, outputs, dead letters, and glances at offsets while it ran.

use std::collections::{BTreeMap, HashMap};

use super::Ledger;
use crate::kcat::Record;

/// What a function was deployed to promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// The default.
    AtLeastOnce,
    /// Transactions.
    ExactlyOnce,
}

impl Guarantee {
    /// Its name in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at_least_once",
            Self::ExactlyOnce => "exactly_once",
        }
    }
}

/// What was committed at one moment, and where the ends of the topics were right after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    /// Committed offsets of the input's partitions.
    pub committed: BTreeMap<i32, i64>,
    /// Ends of the output's partitions.
    pub output_ends: BTreeMap<i32, i64>,
    /// Ends of the dead letters' partitions.
    pub dead_ends: BTreeMap<i32, i64>,
}

/// Everything that foreign clients found.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The inputs as they lie in Kafka; their values tell them apart.
    pub inputs: Vec<Record>,
    /// The outputs as a `read_committed` reader finds them.
    pub outputs: Vec<Record>,
    /// The dead letters likewise.
    pub dead: Vec<Record>,
    /// In the order in which they were taken.
    pub glances: Vec<Glance>,
}

/// See the module. Inputs are named by their values.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Inputs that neither came out nor are dead letters.
    pub lost: Vec<String>,
    /// Outputs more than one for an input, and dead letters likewise.
    pub repeated: Vec<String>,
    /// Outputs and dead letters of no input.
    pub foreign: Vec<String>,
    /// First outputs of a key in the wrong order.
    pub out_of_order: Vec<(String, String)>,
    /// Inputs that came out *and* are dead letters.
    pub two_fates: Vec<String>,
    /// Inputs below a committed offset although nothing of them had been written when it was committed.
    pub passed_unfinished: Vec<String>,
    /// Inputs that were written again after an offset above them had been committed: beyond the replay window.
    pub replayed_finished: Vec<String>,
    /// Partitions whose committed offset went back: partition, from, to.
    pub went_back: Vec<(i32, i64, i64)>,
}

impl Verdict {
    /// Weighs the evidence.
    pub fn of(evidence: &Evidence) -> Self {
        let values = || evidence.inputs.iter().map(|input| input.text().to_lowercase());
        let mut outputs = Ledger::new(values().collect());
        in_order(&evidence.outputs).into_iter().for_each(|record| {
            outputs.enter(record);
        });
        let mut dead = Ledger::new(values().collect());
        in_order(&evidence.dead).into_iter().for_each(|record| {
            dead.enter(record);
        });
        let written = Written { outputs: places(&evidence.outputs), dead: places(&evidence.dead) };
        let mut verdict = Self {
            repeated: [outputs.repeated, dead.repeated].concat(),
            foreign: [outputs.foreign, dead.foreign].concat(),
            out_of_order: outputs.out_of_order,
            went_back: went_back(&evidence.glances),
            ..Self::default()
        };
        for input in &evidence.inputs {
            let value = input.text().to_lowercase();
            match (written.outputs.contains_key(&value), written.dead.contains_key(&value)) {
                (false, false) => verdict.lost.push(value.clone()),
                (true, true) => verdict.two_fates.push(value.clone()),
                _ => {}
            }
            // The first glance that found an offset above this input.
            let passes = |glance: &&Glance| glance.committed.get(&input.partition).is_some_and(|at| *at > input.offset);
            let Some(glance) = evidence.glances.iter().find(passes) else { continue };
            if !written.before(&value, glance) {
                verdict.passed_unfinished.push(written.tell(input, glance));
            }
            if written.again_after(&value, glance) {
                verdict.replayed_finished.push(written.tell(input, glance));
            }
        }
        verdict
    }

    /// Panics unless everything is as `guarantee` says.
    #[track_caller]
    pub fn assert_holds(&self, guarantee: Guarantee) {
        let mut wrong = Vec::new();
        let mut say = |what: &str, count: usize, examples: String| {
            if count > 0 {
                wrong.push(format!("{count} {what}, such as {examples}"));
            }
        };
        say("lost", self.lost.len(), some(&self.lost));
        say("foreign", self.foreign.len(), some(&self.foreign));
        say("out of order", self.out_of_order.len(), some(&self.out_of_order));
        say("passed unfinished", self.passed_unfinished.len(), some(&self.passed_unfinished));
        say("replayed although committed", self.replayed_finished.len(), some(&self.replayed_finished));
        say("commits that went back", self.went_back.len(), some(&self.went_back));
        if guarantee == Guarantee::ExactlyOnce {
            say("repeated", self.repeated.len(), some(&self.repeated));
            say("with two fates", self.two_fates.len(), some(&self.two_fates));
        }
        assert!(wrong.is_empty(), "{} does not hold: {}", guarantee.name(), wrong.join("; "));
    }
}

fn some<T: std::fmt::Debug>(found: &[T]) -> String {
    format!("{:?}", &found[..found.len().min(4)])
}

/// A key lies in one partition: there its order is that of the offsets.
fn in_order(records: &[Record]) -> Vec<&Record> {
    let mut ordered: Vec<&Record> = records.iter().collect();
    ordered.sort_by_key(|record| (record.partition, record.offset));
    ordered
}

struct Written {
    outputs: HashMap<String, Vec<(i32, i64)>>,
    dead: HashMap<String, Vec<(i32, i64)>>,
}

impl Written {
    fn before(&self, value: &str, glance: &Glance) -> bool {
        let lies_before = |places: &HashMap<String, Vec<(i32, i64)>>, ends: &BTreeMap<i32, i64>| {
            let mut found = places.get(value).into_iter().flatten();
            found.any(|(partition, offset)| ends.get(partition).is_some_and(|end| offset < end))
        };
        lies_before(&self.outputs, &glance.output_ends) || lies_before(&self.dead, &glance.dead_ends)
    }

    /// What is known of an input, for people.
    fn tell(&self, input: &Record, glance: &Glance) -> String {
        let value = input.text().to_lowercase();
        let found = |places: &HashMap<String, Vec<(i32, i64)>>| places.get(&value).cloned().unwrap_or_default();
        format!(
            "{value} (input {}/{}, committed {:?}, outputs {:?} of ends {:?}, dead letters {:?} of ends {:?})",
            input.partition,
            input.offset,
            glance.committed.get(&input.partition),
            found(&self.outputs),
            glance.output_ends,
            found(&self.dead),
            glance.dead_ends,
        )
    }

    fn again_after(&self, value: &str, glance: &Glance) -> bool {
        let mut found = self.outputs.get(value).into_iter().flatten();
        self.before(value, glance)
            && found.any(|(partition, offset)| glance.output_ends.get(partition).is_some_and(|end| offset >= end))
    }
}

fn places(records: &[Record]) -> HashMap<String, Vec<(i32, i64)>> {
    let mut places: HashMap<String, Vec<(i32, i64)>> = HashMap::new();
    for record in records {
        places.entry(record.text().to_lowercase()).or_default().push((record.partition, record.offset));
    }
    places
}

fn went_back(glances: &[Glance]) -> Vec<(i32, i64, i64)> {
    let mut highest: BTreeMap<i32, i64> = BTreeMap::new();
    let mut found = Vec::new();
    for (partition, at) in glances.iter().flat_map(|glance| &glance.committed) {
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
        found.iter().filter_map(|told| told.split(' ').next())
    }

    fn glance(committed: i64, output_end: i64) -> Glance {
        let at = |offset| BTreeMap::from([(0, offset)]);
        Glance { committed: at(committed), output_ends: at(output_end), dead_ends: at(0) }
    }

    /// Three inputs, all well: two came out, one is a dead letter.
    fn good() -> Evidence {
        Evidence {
            inputs: vec![record(0, "a/1"), record(1, "b/1"), record(2, "a/2")],
            outputs: vec![record(0, "A/1"), record(1, "A/2")],
            dead: vec![record(0, "b/1")],
            glances: vec![glance(0, 0), glance(1, 1)],
        }
    }

    #[test]
    fn what_is_well_is_found_well() {
        for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
            Verdict::of(&good()).assert_holds(guarantee);
        }
    }

    #[test]
    fn a_loss_is_found() {
        let mut evidence = good();
        evidence.dead.clear();
        assert_eq!(Verdict::of(&evidence).lost, ["b/1"]);
    }

    #[test]
    fn a_repetition_is_found_and_only_one_guarantee_allows_it() {
        let mut evidence = good();
        evidence.outputs.push(record(2, "a/2"));
        let verdict = Verdict::of(&evidence);
        assert_eq!(verdict.repeated, ["a/2"]);
        verdict.assert_holds(Guarantee::AtLeastOnce);
        let outcome = std::panic::catch_unwind(|| verdict.assert_holds(Guarantee::ExactlyOnce));
        assert!(outcome.is_err());
        evidence.dead.push(record(1, "b/1"));
        assert_eq!(Verdict::of(&evidence).repeated, ["a/2", "b/1"]);
    }

    #[test]
    fn a_repetition_of_what_was_committed_is_no_replay() {
        let mut evidence = good();
        evidence.outputs.push(record(2, "a/1"));
        assert!(names(&Verdict::of(&evidence).replayed_finished).eq(["a/1"]));
        // Without the glance that saw the commit, it may be one.
        evidence.glances.pop();
        assert!(Verdict::of(&evidence).replayed_finished.is_empty());
    }

    #[test]
    fn a_commit_above_unfinished_work_is_found() {
        let mut evidence = good();
        evidence.glances = vec![glance(1, 0)];
        assert!(names(&Verdict::of(&evidence).passed_unfinished).eq(["a/1"]), "its output came after the commit");
        evidence.glances = vec![glance(2, 1)];
        assert!(names(&Verdict::of(&evidence).passed_unfinished).eq(["b/1"]), "its dead letter came after the commit");
        evidence.glances[0].dead_ends.insert(0, 1);
        assert!(Verdict::of(&evidence).passed_unfinished.is_empty());
    }

    #[test]
    fn two_fates_wrong_order_strangers_and_steps_back_are_found() {
        let mut evidence = good();
        evidence.dead.push(record(1, "a/1"));
        evidence.outputs = vec![record(0, "A/2"), record(1, "A/1"), record(2, "c/1")];
        evidence.glances = vec![glance(1, 5), glance(0, 5)];
        let verdict = Verdict::of(&evidence);
        assert_eq!(verdict.two_fates, ["a/1"]);
        assert_eq!(verdict.out_of_order, [("a/2".to_owned(), "a/1".to_owned())]);
        assert_eq!(verdict.foreign, ["c/1"]);
        assert_eq!(verdict.went_back, [(0, 1, 0)]);
        assert!(std::panic::catch_unwind(|| verdict.assert_holds(Guarantee::AtLeastOnce)).is_err());
    }
}
