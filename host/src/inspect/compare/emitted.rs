//! What a function emitted for records, found by its cause in the topics that it writes to.

use std::collections::HashMap;

use crate::inspect::compare::normalized_event::{ComparedOutcome, NormalizedEvent};
use crate::model::ids::FunctionName;
use crate::model::position::TopicPartition;
use crate::model::record::PastRecord;
use crate::model::record_id::RecordId;
use crate::model::stamp::{self, RecordStamp};

/// See the module. What is found is kept until it is asked for.
#[derive(Debug)]
pub(crate) struct EmittedIndex {
    function: FunctionName,
    ignore: Vec<String>,
    found: HashMap<(TopicPartition, i64), FoundEvents>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct FoundEvents {
    /// Events with their ids: a repetition has the same.
    events: Vec<(Option<String>, NormalizedEvent)>,
    given_up: Option<(String, String)>,
    bytes: usize,
    /// The timestamp of the earliest.
    earliest_ms: Option<i64>,
}

impl EmittedIndex {
    /// Nothing yet of `function`. Attributes and headers named `ignore` are left out of what is found.
    pub(crate) fn new(function: FunctionName, ignore: Vec<String>) -> Self {
        Self { function, ignore, found: HashMap::new(), bytes: 0 }
    }

    /// About how much memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the earliest of what it holds was written: milliseconds since the Unix epoch.
    pub(crate) fn earliest_ms(&self) -> Option<i64> {
        self.found.values().filter_map(|found| found.earliest_ms).min()
    }

    /// Takes a record of an output or a dead letter topic, if it comes of a record at a place that `is_wanted`.
    pub(crate) fn take(&mut self, record: &PastRecord, is_wanted: impl Fn(&str, i32, i64) -> bool) {
        let stamp = RecordStamp::read(record.headers(), record.value.as_deref());
        let is_wanted = |cause: &RecordId| is_wanted(&cause.partition.topic, cause.partition.partition, cause.offset);
        if let Some(letter) = stamp.dead_letter {
            if self.is_function(&letter.function) && is_wanted(&letter.record) {
                let found = self.at(letter.record, record.timestamp_ms, 128 + letter.message.len());
                found.given_up = Some((letter.class, letter.message));
            }
            return;
        }
        let (id, cause) = (stamp.id, stamp.cause.filter(is_wanted));
        let (Some(cause), true) = (cause, stamp.function.is_some_and(|function| self.is_function(&function))) else {
            return;
        };
        let topic = &record.partition.topic;
        let shape =
            NormalizedEvent::of(topic, record.key.as_deref(), record.value.as_deref(), record.headers(), &self.ignore);
        let events = &mut self.at(cause, record.timestamp_ms, shape.bytes()).events;
        match events.iter_mut().find(|(known, event)| known.is_some() && *known == id && event.topic == *topic) {
            // It was emitted again, after a crash or a reset: what came last counts.
            Some((_, event)) => *event = shape,
            None => events.push((id, shape)),
        }
    }

    /// What came of the record at a place, if everything that did was taken. It is forgotten.
    pub(crate) fn remove(&mut self, partition: &TopicPartition, offset: i64) -> ComparedOutcome {
        let Some(found) = self.found.remove(&(partition.clone(), offset)) else {
            return ComparedOutcome::Emitted(Vec::new());
        };
        self.bytes = self.bytes.saturating_sub(found.bytes);
        match found.given_up {
            // A record that was dead-lettered and emitted something all the same was redriven since.
            Some((class, message)) if found.events.is_empty() => ComparedOutcome::GivenUp { class, message },
            _ => ComparedOutcome::emitted(found.events.into_iter().map(|(_, shape)| shape).collect()),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.found.clear();
        self.bytes = 0;
    }

    fn at(&mut self, cause: RecordId, timestamp_ms: Option<i64>, more_bytes: usize) -> &mut FoundEvents {
        let place = (cause.partition, cause.offset);
        let found = self.found.entry(place).or_default();
        found.bytes += more_bytes;
        self.bytes += more_bytes;
        found.earliest_ms = match (found.earliest_ms, timestamp_ms) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        found
    }

    fn is_function(&self, name_and_revision: &str) -> bool {
        stamp::function_of(name_and_revision) == Some(self.function.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(topic: &str, value: &str, headers: &[(&str, &str)]) -> PastRecord {
        let owned = headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())));
        PastRecord {
            partition: TopicPartition::new(topic, 0),
            offset: 0,
            timestamp_ms: Some(value.len() as i64),
            key: None,
            value: Some(value.as_bytes().to_vec()),
            headers: owned.collect(),
        }
    }

    #[test]
    fn what_was_emitted_is_found_by_its_cause() {
        let mut emitted = EmittedIndex::new(FunctionName::new("mill").unwrap(), Vec::new());
        let is_wanted =
            |topic: &str, partition, offset: i64| topic == "bids" && partition == 2 && (5..10).contains(&offset);
        let binary = |id: &'static str, cause: &'static str, stamp: &'static str| {
            [("ce_id", id), ("ce_millstreamcause", cause), ("ce_millstreamfunction", stamp)]
        };
        for (value, headers) in [
            ("first", binary("1", "bids/2/7", "mill@1")),
            ("again", binary("1", "bids/2/7", "mill@2")),
            ("second", binary("2", "bids/2/7", "mill@2")),
            ("other function", binary("3", "bids/2/7", "miller@2")),
            ("other topic", binary("4", "bids.late/2/7", "mill@2")),
            ("other partition", binary("5", "bids/3/7", "mill@2")),
            ("not wanted", binary("6", "bids/2/10", "mill@2")),
            ("no place", binary("7", "@call/0/7", "mill@2")),
            ("no place either", binary("8", "bids/2/7/7", "mill@2")),
        ] {
            emitted.take(&record("out", value, &headers), is_wanted);
        }
        let structured = r#"{"id":"8","millstreamcause":"bids/2/8","millstreamfunction":"mill@1"}"#;
        let headers = [("content-type", "application/cloudevents+json")];
        emitted.take(&record("out", structured, &headers), is_wanted);
        let letter = [
            ("millstream-error-class", "trap"),
            ("millstream-error-message", "told to"),
            ("millstream-function", "mill@1"),
            ("millstream-topic", "bids"),
            ("millstream-partition", "2"),
            ("millstream-offset", "9"),
        ];
        emitted.take(&record("mill.dead", "x", &letter), is_wanted);
        assert!(emitted.bytes() > 0);
        assert_eq!(emitted.earliest_ms(), Some(1), "the letter's");

        let partition = TopicPartition::new("bids", 2);
        let values = |side: ComparedOutcome| match side {
            ComparedOutcome::Emitted(events) => {
                events.iter().map(|event| String::from_utf8(event.value.clone().unwrap()).unwrap()).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(values(emitted.remove(&partition, 7)), ["again", "second"]);
        assert_eq!(values(emitted.remove(&partition, 8)).len(), 1);
        assert!(matches!(emitted.remove(&partition, 9), ComparedOutcome::GivenUp { class, .. } if class == "trap"));
        assert_eq!(values(emitted.remove(&partition, 5)), Vec::<String>::new(), "it emitted nothing");
        assert_eq!((emitted.bytes(), emitted.earliest_ms()), (0, None), "what was asked for is forgotten");
    }
}
