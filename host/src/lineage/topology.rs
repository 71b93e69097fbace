//! Which topics may hold what a topic's records led to.

use std::collections::BTreeSet;

use crate::model::function::SharedRevision;
use crate::model::inputs::InputTopics;

/// What reads what, and writes where: of every revision that is kept, for an earlier one may have handled a record.
pub(crate) struct FunctionTopology(Vec<TopologyEntry>);

struct TopologyEntry {
    reads: InputTopics,
    writes: BTreeSet<String>,
    dead: String,
}

impl FunctionTopology {
    pub(crate) fn new(revisions: &[SharedRevision]) -> Self {
        let functions = revisions.iter().filter_map(|revision| {
            let manifest = &revision.manifest;
            // A pattern that was accepted once can be read.
            let reads = InputTopics::of(manifest).ok()?;
            let outputs = manifest.outputs.values().map(|output| output.topic.clone());
            let writes = outputs.chain([manifest.dead_letter_topic.clone()]).collect();
            Some(TopologyEntry { reads, writes, dead: manifest.dead_letter_topic.clone() })
        });
        Self(functions.collect())
    }

    /// The topics to which the readers of `topic` write; of a dead letter topic, also those whose letters may be handled
    /// again.
    pub(crate) fn after(&self, topic: &str) -> BTreeSet<String> {
        let readers = self.0.iter().filter(|function| function.reads.has(topic) || function.dead == topic);
        readers.flat_map(|function| function.writes.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::function::TopicSelection;
    use crate::model::function::tests_support::revision;

    #[test]
    fn outputs_and_dead_letters_of_readers_come_after_a_topic() {
        let named = revision();
        let mut matching = (*revision()).clone();
        matching.manifest.topics = TopicSelection::Pattern("i.*".into());
        matching.manifest.dead_letter_topic = "graves".into();
        let mut other = (*revision()).clone();
        other.manifest.topics = TopicSelection::Named(vec!["elsewhere".into()]);
        other.manifest.dead_letter_topic = "unseen".into();
        let wiring = FunctionTopology::new(&[named, Arc::new(matching), Arc::new(other)]);
        assert_eq!(wiring.after("in").into_iter().collect::<Vec<_>>(), ["graves", "out", "test.dead"]);
        assert_eq!(wiring.after("is").into_iter().collect::<Vec<_>>(), ["graves", "out"]);
        assert_eq!(wiring.after("graves").into_iter().collect::<Vec<_>>(), ["graves", "out"]);
        assert!(wiring.after("nowhere").is_empty());
    }
}
