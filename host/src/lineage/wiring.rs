//! Which topics may hold what a topic's records led to.

use std::collections::BTreeSet;

use regex_lite::Regex;

use crate::model::function::{SharedRevision, Topics};

/// What reads what, and writes where: of every revision that is kept, for an earlier one may have handled a record.
pub(super) struct Wiring(Vec<Function>);

struct Function {
    reads: Reads,
    writes: BTreeSet<String>,
}

enum Reads {
    Named(Vec<String>),
    Matching(Regex),
}

impl Wiring {
    pub(super) fn new(revisions: &[SharedRevision]) -> Self {
        let functions = revisions.iter().filter_map(|revision| {
            let manifest = &revision.manifest;
            let reads = match &manifest.topics {
                Topics::Named(topics) => Reads::Named(topics.clone()),
                // A pattern that was accepted once can be read.
                Topics::Pattern(pattern) => Reads::Matching(Regex::new(&format!("^(?:{pattern})$")).ok()?),
            };
            let outputs = manifest.outputs.values().map(|output| output.topic.clone());
            let writes = outputs.chain([manifest.dead_letter_topic.clone()]).collect();
            Some(Function { reads, writes })
        });
        Self(functions.collect())
    }

    /// The topics to which the readers of `topic` write.
    pub(super) fn after(&self, topic: &str) -> BTreeSet<String> {
        let readers = self.0.iter().filter(|function| match &function.reads {
            Reads::Named(topics) => topics.iter().any(|named| named == topic),
            Reads::Matching(pattern) => pattern.is_match(topic),
        });
        readers.flat_map(|function| function.writes.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::function::tests_support::revision;

    #[test]
    fn outputs_and_dead_letters_of_readers_come_after_a_topic() {
        let named = revision();
        let mut matching = (*revision()).clone();
        matching.manifest.topics = Topics::Pattern("i.*".into());
        matching.manifest.dead_letter_topic = "graves".into();
        let mut other = (*revision()).clone();
        other.manifest.topics = Topics::Named(vec!["elsewhere".into()]);
        other.manifest.dead_letter_topic = "unseen".into();
        let wiring = Wiring::new(&[named, Arc::new(matching), Arc::new(other)]);
        assert_eq!(wiring.after("in").into_iter().collect::<Vec<_>>(), ["graves", "out", "test.dead"]);
        assert_eq!(wiring.after("is").into_iter().collect::<Vec<_>>(), ["graves", "out"]);
        assert!(wiring.after("nowhere").is_empty());
    }
}
