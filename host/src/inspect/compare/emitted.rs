//! What a function emitted for records, found by its cause in the topics that it writes to.

use std::collections::HashMap;

use serde::Deserialize;

use crate::inspect::compare::normalized_event::{ComparedOutcome, NormalizedEvent};
use crate::kafka::read::range::{HeaderBytes, PastRecord};
use crate::model::dead_letter;
use crate::model::ids::FunctionName;
use crate::model::position::TopicPartition;

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

/// Where an event, or a dead letter, comes from.
struct EventOrigin<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
}

/// What a structured event says of itself.
#[derive(Deserialize)]
struct StructuredAttributes {
    id: Option<String>,
    millstreamcause: Option<String>,
    millstreamfunction: Option<String>,
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
        let Ok(headers) = &record.headers else { return };
        let header = |name: &str| text_of(headers, name);
        if let Some(class) = header(dead_letter::ERROR_CLASS) {
            let is_ours = header(dead_letter::FUNCTION).is_some_and(|stamp| self.is_function(stamp));
            let Some(origin) = EventOrigin::of_letter(headers).filter(|origin| is_ours && origin.is(&is_wanted)) else {
                return;
            };
            let message = header(dead_letter::ERROR_MESSAGE).unwrap_or_default();
            let found = self.at(&origin, record.timestamp_ms, 128 + message.len());
            found.given_up = Some((class.to_owned(), message.to_owned()));
            return;
        }
        let Some(StructuredAttributes { id, millstreamcause, millstreamfunction }) = attributes(record, headers) else {
            return;
        };
        if !millstreamfunction.is_some_and(|stamp| self.is_function(&stamp)) {
            return;
        }
        let origin = millstreamcause.as_deref().and_then(EventOrigin::parse);
        let Some(origin) = origin.filter(|origin| origin.is(&is_wanted)) else { return };
        let topic = &record.partition.topic;
        let borrowed = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let shape = NormalizedEvent::of(topic, record.key.as_deref(), record.value.as_deref(), borrowed, &self.ignore);
        let events = &mut self.at(&origin, record.timestamp_ms, shape.bytes()).events;
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
            // A record that was dead-lettered and emitted something all the same has been run again since.
            Some((class, message)) if found.events.is_empty() => ComparedOutcome::GivenUp { class, message },
            _ => ComparedOutcome::emitted(found.events.into_iter().map(|(_, shape)| shape).collect()),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.found.clear();
        self.bytes = 0;
    }

    fn at(&mut self, origin: &EventOrigin<'_>, timestamp_ms: Option<i64>, more_bytes: usize) -> &mut FoundEvents {
        let place = (TopicPartition::new(origin.topic, origin.partition), origin.offset);
        let found = self.found.entry(place).or_default();
        found.bytes += more_bytes;
        self.bytes += more_bytes;
        found.earliest_ms = match (found.earliest_ms, timestamp_ms) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        found
    }

    fn is_function(&self, stamp: &str) -> bool {
        stamp.split_once('@').is_some_and(|(name, _)| name == self.function.as_str())
    }
}

impl<'a> EventOrigin<'a> {
    /// The place in a cause: a topic's name has no slash.
    fn parse(cause: &'a str) -> Option<Self> {
        let mut parts = cause.split('/');
        let (topic, partition, offset) = (parts.next()?, parts.next()?, parts.next()?);
        let origin = Self { topic, partition: partition.parse().ok()?, offset: offset.parse().ok()? };
        parts.next().is_none().then_some(origin)
    }

    /// The place of the record that a dead letter holds.
    fn of_letter(headers: &'a [HeaderBytes]) -> Option<Self> {
        Some(Self {
            topic: text_of(headers, dead_letter::TOPIC)?,
            partition: text_of(headers, dead_letter::PARTITION)?.parse().ok()?,
            offset: text_of(headers, dead_letter::OFFSET)?.parse().ok()?,
        })
    }

    fn is(&self, is_wanted: &impl Fn(&str, i32, i64) -> bool) -> bool {
        is_wanted(self.topic, self.partition, self.offset)
    }
}

fn attributes(record: &PastRecord, headers: &[HeaderBytes]) -> Option<StructuredAttributes> {
    let content_type = text_of(headers, "content-type").unwrap_or_default();
    match record.value.as_deref() {
        Some(value) if content_type.starts_with("application/cloudevents+json") => serde_json::from_slice(value).ok(),
        _ => {
            let owned = |name: &str| text_of(headers, name).map(str::to_owned);
            Some(StructuredAttributes {
                id: owned("ce_id"),
                millstreamcause: owned("ce_millstreamcause"),
                millstreamfunction: owned("ce_millstreamfunction"),
            })
        }
    }
}

/// The last header of that name, as text.
fn text_of<'a>(headers: &'a [HeaderBytes], name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().rev().find(|(found, _)| found == name)?;
    std::str::from_utf8(value.as_deref()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(topic: &str, value: &str, headers: &[(&str, &str)]) -> PastRecord {
        let owned = headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec())));
        PastRecord {
            partition: TopicPartition::new(topic, 0),
            offset: 0,
            timestamp_ms: Some(value.len() as i64),
            key: None,
            value: Some(value.as_bytes().to_vec()),
            headers: Ok(owned.collect()),
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
