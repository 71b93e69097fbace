//! The oracle: inputs that can be recognized, and what must be true of the outputs.

mod report;
mod tally;

pub use report::{Guarantee, ObservedRecords, OffsetSample, OracleReport};
pub use tally::OutputTally;

use std::collections::{BTreeMap, BTreeSet};

use crate::kcat::Record;

/// `count` inputs of `keys` keys, round-robin: the value of each is `<key>/<number within the key>`.
pub fn inputs(count: usize, keys: usize) -> Vec<(String, String)> {
    let input = |index: usize| {
        let key = format!("k{:03}", index % keys);
        let value = format!("{key}/{:06}", index / keys);
        (key, value)
    };
    (0..count).map(input).collect()
}

/// The same as JSON: `{"id":"<key>/<number>","seq":<number>}`.
pub fn json_inputs(count: usize, keys: usize) -> Vec<(String, String)> {
    let as_json = |(index, (key, id)): (usize, (String, String))| {
        let value = format!("{{\"id\":\"{id}\",\"seq\":{}}}", index / keys);
        (key, value)
    };
    inputs(count, keys).into_iter().enumerate().map(as_json).collect()
}

/// The same as commands for the example `faults`: `<word>:<key>/<number>`; `word` picks one by the input's index.
pub fn commands(count: usize, keys: usize, word: impl Fn(usize) -> &'static str) -> Vec<(String, String)> {
    let command = |(index, (key, id))| (key, format!("{}:{id}", word(index)));
    inputs(count, keys).into_iter().enumerate().map(command).collect()
}

/// What is wrong with the outputs.
#[derive(Debug, Default)]
pub struct OutputFindings {
    /// Inputs without an output.
    pub lost: Vec<String>,
    /// Additional outputs of the same input.
    pub repeated: usize,
    /// Outputs without an input.
    pub foreign: Vec<String>,
    /// Pairs of a key whose first outputs are in the wrong order.
    pub out_of_order: Vec<(String, String)>,
}

/// Compares outputs with inputs; the values of both are compared in lower case.
pub fn compare(inputs: &[(String, String)], outputs: &[Record]) -> OutputFindings {
    let wanted: BTreeSet<String> = inputs.iter().map(|(_, value)| value.to_lowercase()).collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut last: BTreeMap<&str, String> = BTreeMap::new();
    let mut findings = OutputFindings::default();
    let mut ordered: Vec<&Record> = outputs.iter().collect();
    // A key is in one partition, where its order is the order of the offsets.
    ordered.sort_by_key(|record| (record.partition, record.offset));
    for record in ordered {
        let value = record.text().to_lowercase();
        if !wanted.contains(&value) {
            findings.foreign.push(value);
            continue;
        }
        if !seen.insert(value.clone()) {
            findings.repeated += 1;
            continue;
        }
        if let Some(before) = last.insert(record.key_text(), value.clone())
            && before > value
        {
            findings.out_of_order.push((before, value));
        }
    }
    findings.lost = wanted.difference(&seen).cloned().collect();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(offset: i64, key: &str, value: &str) -> Record {
        let (key, value) = (Some(key.as_bytes().to_vec()), Some(value.as_bytes().to_vec()));
        Record { partition: 0, offset, key, value, headers: Vec::new() }
    }

    #[test]
    fn every_kind_of_fault_is_found() {
        let inputs = inputs(4, 2);
        let good: Vec<_> =
            inputs.iter().enumerate().map(|(at, (key, value))| output(at as i64, key, &value.to_uppercase())).collect();
        let found = compare(&inputs, &good);
        assert!(found.lost.is_empty() && found.foreign.is_empty() && found.out_of_order.is_empty());
        assert_eq!(compare(&inputs, &good[1..]).lost, ["k000/000000"]);
        let twice = [good.clone(), good[..1].to_vec()].concat();
        assert_eq!(compare(&inputs, &twice).repeated, 1);
        let turned = [output(0, "k000", "k000/000001"), output(1, "k000", "k000/000000")];
        assert_eq!(compare(&inputs, &turned).out_of_order.len(), 1);
        assert_eq!(compare(&inputs, &[output(0, "x", "x")]).foreign, ["x"]);
    }
}
