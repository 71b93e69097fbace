//! The topics that a function reads, by the identity that they had when it first read them. One that was made again under
//! its name is another topic: its offsets mean other records, and nothing of it is read.
//!
//! It remembers as long as the function is on this host; every commit says which topic it is of, so that another host, or
//! this one after a restart, knows it too.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::admin::topic_ids::{TopicLookup, TopicLookups};
use crate::model::topic_id::TopicId;

/// A broker that was just started may not know a topic yet: it counts as gone when it was missing so often in a row.
const MISSING_BEFORE_GONE: u32 = 2;

#[derive(Debug, Default)]
pub(crate) struct KnownTopics(Mutex<TopicState>);

#[derive(Debug, Default)]
struct TopicState {
    ids: BTreeMap<String, TopicId>,
    missing: BTreeMap<String, u32>,
    made_again: BTreeSet<String>,
}

impl KnownTopics {
    /// Compares with what a cluster says, and says it in the log once. Gives the topics that were found to be others.
    pub(crate) fn learn(&self, function: &str, told: &TopicLookups) -> Vec<String> {
        let mut known = self.known();
        let mut news = Vec::new();
        for (topic, found) in told {
            match found {
                TopicLookup::Topic(id) => {
                    known.missing.remove(topic);
                    if known.is_news(function, topic, *id) {
                        news.push(topic.clone());
                    }
                }
                TopicLookup::Missing => {
                    let times = known.missing.entry(topic.clone()).or_default();
                    *times += 1;
                    if *times == MISSING_BEFORE_GONE {
                        tracing::error!(function, reason = gone(topic), "a topic is gone");
                    }
                }
            }
        }
        news
    }

    /// Compares with what a commit says that `topic` is. Another that was known before, or is learned later, is not it.
    pub(crate) fn expect(&self, function: &str, topic: &str, id: TopicId) {
        self.known().is_news(function, topic, id);
    }

    /// What `topic` is, as far as it is known.
    pub(crate) fn id(&self, topic: &str) -> Option<TopicId> {
        self.known().ids.get(topic).copied()
    }

    /// Why nothing of `topic` is read, when it is another one than it was.
    pub(crate) fn made_again(&self, topic: &str) -> Option<String> {
        self.known().made_again.contains(topic).then(|| made_again(topic))
    }

    /// Why nothing comes of `topic`, when there is none.
    pub(crate) fn gone(&self, topic: &str) -> Option<String> {
        let times = self.known().missing.get(topic).copied().unwrap_or(0);
        (times >= MISSING_BEFORE_GONE).then(|| gone(topic))
    }

    /// Forgets what the topics were: someone has decided where to continue in what they are now.
    pub(crate) fn forget(&self) {
        *self.known() = TopicState::default();
    }

    fn known(&self) -> MutexGuard<'_, TopicState> {
        self.0.lock()
    }
}

impl TopicState {
    /// Whether the topic of this id is another one than it was, and no one knew.
    fn is_news(&mut self, function: &str, topic: &str, id: TopicId) -> bool {
        let is_another = *self.ids.entry(topic.to_owned()).or_insert(id) != id;
        let is_news = is_another && self.made_again.insert(topic.to_owned());
        if is_news {
            tracing::error!(function, reason = made_again(topic), "a topic is another one than it was");
        }
        is_news
    }
}

fn made_again(topic: &str) -> String {
    format!(
        "topic {topic} was deleted and made again: its offsets mean other records now, so nothing of it is read; say \
         where to continue with `millstream reset`, or delete the function and deploy it again with the initial_offset that \
         you want"
    )
}

fn gone(topic: &str) -> String {
    format!(
        "topic {topic} does not exist any more: deploy the function without it, or make it again, delete the function \
         and deploy it again with the initial_offset that you want"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> TopicId {
        TopicId::new([byte; 16]).expect("an id")
    }

    fn told(found: TopicLookup) -> TopicLookups {
        TopicLookups::from([("in".to_owned(), found)])
    }

    #[test]
    fn a_topic_that_was_made_again_stays_another_one() {
        let known = KnownTopics::default();
        let (first, second) = (TopicLookup::Topic(id(1)), TopicLookup::Topic(id(2)));
        assert!(known.learn("f", &told(first)).is_empty() && known.learn("f", &told(first)).is_empty());
        assert!(known.made_again("in").is_none());
        assert_eq!(known.learn("f", &told(second)), ["in"]);
        assert!(known.learn("f", &told(second)).is_empty(), "it is said once");
        assert!(known.made_again("in").is_some_and(|reason| reason.contains("initial_offset")));
    }

    #[test]
    fn a_topic_that_is_another_than_the_one_of_the_commit_is_made_again() {
        let known = KnownTopics::default();
        known.expect("f", "in", id(1));
        known.learn("f", &told(TopicLookup::Topic(id(1))));
        assert_eq!(known.id("in"), Some(id(1)));
        assert!(known.made_again("in").is_none());
        known.learn("f", &told(TopicLookup::Topic(id(2))));
        assert!(known.made_again("in").is_some());
    }

    #[test]
    fn a_topic_that_is_missing_for_a_moment_is_not_gone() {
        let known = KnownTopics::default();
        known.learn("f", &told(TopicLookup::Topic(id(1))));
        known.learn("f", &told(TopicLookup::Missing));
        assert!(known.gone("in").is_none());
        known.learn("f", &told(TopicLookup::Missing));
        assert!(known.gone("in").is_some());
        known.learn("f", &told(TopicLookup::Topic(id(1))));
        assert!(known.gone("in").is_none() && known.made_again("in").is_none());
    }
}
