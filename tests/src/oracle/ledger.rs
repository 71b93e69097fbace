//! Enters outputs one by one, as they come, and knows at once what is wrong.

use std::collections::{HashMap, HashSet};

use crate::kcat::Record;

/// See the module. Values are compared in lower case.
#[derive(Debug, Default)]
pub struct Ledger {
    wanted: HashSet<String>,
    seen: HashSet<String>,
    last: HashMap<Vec<u8>, String>,
    /// Values that came again.
    pub repeated: Vec<String>,
    /// Values that no input has.
    pub foreign: Vec<String>,
    /// Pairs of values of a key whose first appearances are in the wrong order.
    pub out_of_order: Vec<(String, String)>,
}

impl Ledger {
    /// An empty ledger; `wanted` are the values of the inputs.
    pub fn new(wanted: Vec<String>) -> Self {
        Self { wanted: wanted.into_iter().map(|value| value.to_lowercase()).collect(), ..Self::default() }
    }

    /// Enters an output, those of a key in the order of their offsets. Tells whether its input had none before.
    pub fn enter(&mut self, record: &Record) -> bool {
        let value = record.text().to_lowercase();
        if !self.wanted.contains(&value) {
            self.foreign.push(value);
            return false;
        }
        if !self.seen.insert(value.clone()) {
            self.repeated.push(value);
            return false;
        }
        // A key that is its own in the output; its values sort as they were written.
        let key = record.key.clone().unwrap_or_default();
        if let Some(before) = self.last.insert(key, value.clone())
            && before > value
        {
            self.out_of_order.push((before, value));
        }
        true
    }

    /// How many inputs came out.
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
    fn it_knows_at_once_what_is_wrong() {
        let mut ledger = Ledger::new(vec!["a/1".into(), "a/2".into(), "b/1".into()]);
        assert!(ledger.enter(&output("a", "A/2")));
        assert!(ledger.enter(&output("b", "B/1")));
        assert!(ledger.out_of_order.is_empty());
        assert!(ledger.enter(&output("a", "A/1")));
        assert_eq!(ledger.out_of_order, [("a/2".to_owned(), "a/1".to_owned())]);
        assert!(!ledger.enter(&output("a", "A/1")));
        assert_eq!(ledger.repeated, ["a/1"]);
        assert!(!ledger.enter(&output("c", "C/1")));
        assert_eq!(ledger.foreign, ["c/1"]);
        assert_eq!(ledger.distinct(), 3);
    }
}
