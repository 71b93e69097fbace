//! Counts outputs one by one as they arrive, and notices at once what is wrong.

use std::collections::{HashMap, HashSet};

use crate::kcat::Record;

/// Compares values in lower case.
#[derive(Debug, Default)]
pub struct OutputTally {
    wanted: HashSet<String>,
    seen: HashSet<String>,
    last: HashMap<Vec<u8>, String>,
    /// Values seen before.
    pub repeated: Vec<String>,
    /// Values of no input.
    pub foreign: Vec<String>,
    /// Pairs of a key whose first outputs are in the wrong order.
    pub out_of_order: Vec<(String, String)>,
}

impl OutputTally {
    /// `wanted` are the values of the inputs.
    pub fn new(wanted: Vec<String>) -> Self {
        Self { wanted: wanted.into_iter().map(|value| value.to_lowercase()).collect(), ..Self::default() }
    }

    /// Adds an output; those of a key must come in the order of their offsets. Returns whether it is the first of its input.
    pub fn add(&mut self, record: &Record) -> bool {
        let value = record.text().to_lowercase();
        if !self.wanted.contains(&value) {
            self.foreign.push(value);
            return false;
        }
        if !self.seen.insert(value.clone()) {
            self.repeated.push(value);
            return false;
        }
        // The values of a key sort in the order in which they were written.
        let key = record.key.clone().unwrap_or_default();
        if let Some(before) = self.last.insert(key, value.clone())
            && before > value
        {
            self.out_of_order.push((before, value));
        }
        true
    }

    /// How many inputs have an output.
    pub fn distinct(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(key: &str, value: &str) -> Record {
        let (key, value) = (Some(key.as_bytes().to_vec()), Some(value.as_bytes().to_vec()));
        Record { partition: 0, offset: 0, key, value, headers: Vec::new() }
    }

    #[test]
    fn it_notices_at_once_what_is_wrong() {
        let mut tally = OutputTally::new(vec!["a/1".into(), "a/2".into(), "b/1".into()]);
        assert!(tally.add(&output("a", "A/2")));
        assert!(tally.add(&output("b", "B/1")));
        assert!(tally.out_of_order.is_empty());
        assert!(tally.add(&output("a", "A/1")));
        assert_eq!(tally.out_of_order, [("a/2".to_owned(), "a/1".to_owned())]);
        assert!(!tally.add(&output("a", "A/1")));
        assert_eq!(tally.repeated, ["a/1"]);
        assert!(!tally.add(&output("c", "C/1")));
        assert_eq!(tally.foreign, ["c/1"]);
        assert_eq!(tally.distinct(), 3);
    }
}
