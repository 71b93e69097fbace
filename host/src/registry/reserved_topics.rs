//! Topics that no one but the hosts, or Kafka, may write to. A stray record in the registry deletes a function.

use std::fmt;
use std::sync::Arc;

use crate::model::function::{Manifest, TopicSelection};
use crate::model::inputs::InputTopics;

/// What each host of a cluster keeps, after the prefix of its registry.
const KEPT_BY_HOSTS: [&str; 4] = ["functions", "artifacts", "redriven", "schedule"];

const KEPT_BY_KAFKA: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Who alone writes to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicOwner {
    Hosts,
    Kafka,
}

impl fmt::Display for TopicOwner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Hosts => "the hosts' own: deploys, schedules and redrives write to it",
            Self::Kafka => "Kafka's own",
        })
    }
}

/// The reserved topics of a cluster of hosts. Clones share the names.
#[derive(Debug, Clone)]
pub(crate) struct ReservedTopics(Arc<[String]>);

/// A manifest that names a reserved topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{used_as} \"{topic}\", which is {owner}; name another topic")]
pub(crate) struct ReservedTopicUsed {
    /// What the manifest does with it.
    used_as: &'static str,
    topic: String,
    owner: TopicOwner,
}

impl ReservedTopics {
    /// Those of the hosts whose registry's topics begin with `prefix`.
    pub(crate) fn new(prefix: &str) -> Self {
        Self(KEPT_BY_HOSTS.iter().map(|name| format!("{prefix}{name}")).collect())
    }

    pub(crate) fn owner(&self, topic: &str) -> Option<TopicOwner> {
        if self.0.iter().any(|own| own == topic) {
            return Some(TopicOwner::Hosts);
        }
        KEPT_BY_KAFKA.contains(&topic).then_some(TopicOwner::Kafka)
    }

    /// The first reserved topic that `manifest` reads or writes.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<(), ReservedTopicUsed> {
        let used = |used_as: &'static str, topic: &str| match self.owner(topic) {
            Some(owner) => Err(ReservedTopicUsed { used_as, topic: topic.to_owned(), owner }),
            None => Ok(()),
        };
        for output in manifest.outputs.values() {
            used("an output writes to", &output.topic)?;
        }
        used("dead letters go to", &manifest.dead_letter_topic)?;
        match &manifest.topics {
            TopicSelection::Named(topics) => topics.iter().try_for_each(|topic| used("topics has", topic)),
            // An invalid pattern is refused elsewhere.
            TopicSelection::Pattern(_) => InputTopics::of(manifest).map_or(Ok(()), |inputs| {
                let reserved = self.0.iter().map(String::as_str).chain(KEPT_BY_KAFKA);
                let mut matched = reserved.filter(|topic| inputs.has(topic));
                matched.try_for_each(|topic| used("topics_pattern matches", topic))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::manifest::from_toml;

    #[test]
    fn a_manifest_that_names_a_reserved_topic_is_refused_with_the_reason() {
        let reserved = ReservedTopics::new("_millstream.");
        let refused = |lines: &str| {
            let manifest = from_toml(&format!("name = \"f\"\n{lines}\n")).unwrap();
            reserved.check(&manifest).map_err(|error| error.to_string())
        };
        let cases = [
            ("topics = [\"in\", \"_millstream.functions\"]", "topics has \"_millstream.functions\""),
            ("topics_pattern = \"_mill.*\"", "topics_pattern matches \"_millstream.functions\""),
            ("topics_pattern = \".*offsets\"", "topics_pattern matches \"__consumer_offsets\""),
            ("topics = [\"in\"]\noutputs = { default = \"_millstream.artifacts\" }", "an output writes to"),
            ("topics = [\"in\"]\ndead_letter_topic = \"_millstream.schedule\"", "dead letters go to"),
        ];
        for (lines, reason) in cases {
            let error = refused(lines).unwrap_err();
            assert!(error.contains(reason), "{lines}: {error}");
        }
        assert_eq!(refused("topics_pattern = \"bids\\\\..*\"\noutputs = { default = \"functions\" }"), Ok(()));
    }
}
