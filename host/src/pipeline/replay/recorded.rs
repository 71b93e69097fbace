//! What a function emitted for the records of a topic's past, found by its cause in the output topics.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use super::shape::{Shape, Side};
use super::{Order, ReplayError};
use crate::config::offset_target::OffsetTarget;
use crate::kafka::range::{self, Part, PastRecord};
use crate::model::dead_letter;
use crate::model::function::{Format, SharedRevision};
use crate::pipeline::supervisor::Ground;

/// Outputs are written after their records, by clocks that may differ by so much: milliseconds.
const CLOCKS_DIFFER_BY: i64 = 10 * 60 * 1000;
/// What is kept in memory of what was emitted, in bytes.
const MOST_BYTES: usize = 512 << 20;

/// See the module.
pub(super) struct Recorded {
    handled: HashMap<i32, Range<i64>>,
    found: Mutex<HashMap<(i32, i64), Found>>,
}

#[derive(Default)]
struct Found {
    /// Events with their ids: a repetition has the same.
    events: Vec<(Option<Vec<u8>>, Shape)>,
    given_up: Option<(String, String)>,
}

impl Recorded {
    pub(super) async fn scan(
        ground: &Ground,
        order: &Order,
        revisions: &[SharedRevision],
        parts: &[Part],
    ) -> Result<Self, ReplayError> {
        let function = order.revision.manifest.name.as_str();
        let handled = handled(ground, order, parts).await?;
        let mut topics = BTreeSet::new();
        for manifest in revisions.iter().map(|revision| &revision.manifest) {
            topics.insert(manifest.dead_letter_topic.clone());
            let outputs = manifest.outputs.values().filter(|output| output.format != Format::Raw);
            topics.extend(outputs.map(|output| output.topic.clone()));
        }
        let existing = ground.environment.admin.topics().await?;
        topics.retain(|topic| existing.contains_key(topic));
        let since = earliest(ground, parts).await?;
        let places = places_since(ground, topics.into_iter().collect(), since).await?;
        let wanted = Wanted { topic: &order.topic, function, handled: &handled, ignore: &order.ignore };
        let mut found = HashMap::new();
        let mut bytes = 0;
        let mut portions = range::read(&ground.environment.kafka, places);
        while let Some(portion) = portions.recv().await {
            for record in portion? {
                bytes += wanted.take(&record, &mut found);
            }
            if bytes > MOST_BYTES {
                return Err(ReplayError::Refused(format!(
                    "what was emitted for these records takes more than {} MiB: choose a shorter range, or compare with \
                     the live revision",
                    MOST_BYTES >> 20
                )));
            }
        }
        Ok(Self { handled, found: Mutex::new(found) })
    }

    /// What came of a record; nothing when it was not handled yet. Asked once for each.
    pub(super) fn of(&self, partition: i32, offset: i64) -> Option<Side> {
        if !self.handled.get(&partition).is_some_and(|handled| handled.contains(&offset)) {
            return None;
        }
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).remove(&(partition, offset));
        let Found { events, given_up } = found.unwrap_or_default();
        Some(match given_up {
            // What was given up and emitted something all the same was handled again since.
            Some((class, message)) if events.is_empty() => Side::GivenUp { class, message },
            _ => Side::emitted(events.into_iter().map(|(_, shape)| shape).collect()),
        })
    }
}

/// The parts of `parts` that the function has handled.
async fn handled(ground: &Ground, order: &Order, parts: &[Part]) -> Result<HashMap<i32, Range<i64>>, ReplayError> {
    let asked = parts.iter().map(|(partition, _)| (partition.topic.to_string(), partition.partition)).collect();
    let group = order.revision.manifest.name.group_id();
    let committed = ground.environment.admin.committed(&group, asked).await?;
    let known = parts.iter().zip(committed).filter_map(|((partition, part), committed)| {
        let end = committed?.min(part.end);
        Some((partition.partition, part.start..end))
    });
    let handled: HashMap<_, _> = known.collect();
    if handled.is_empty() && !parts.is_empty() {
        return Err(ReplayError::Refused(format!(
            "\"{}\" has never read topic \"{}\", so that nothing of it was recorded: compare with the live revision",
            order.revision.manifest.name, order.topic
        )));
    }
    Ok(handled)
}

/// When the first of the records was written, by the clock of its producer: milliseconds since the Unix epoch.
async fn earliest(ground: &Ground, parts: &[Part]) -> Result<Option<i64>, ReplayError> {
    let firsts = parts.iter().map(|(partition, part)| (partition.clone(), part.start..part.end.min(part.start + 1)));
    let mut portions = range::read(&ground.environment.kafka, firsts.collect());
    let mut earliest = None;
    while let Some(portion) = portions.recv().await {
        for record in portion? {
            let Some(millis) = record.timestamp_ms else { return Ok(None) };
            earliest = Some(earliest.map_or(millis, |so_far: i64| so_far.min(millis)));
        }
    }
    Ok(earliest)
}

async fn places_since(ground: &Ground, topics: Vec<String>, since: Option<i64>) -> Result<Vec<Part>, ReplayError> {
    let admin = &ground.environment.admin;
    let from = match since {
        Some(millis) => OffsetTarget::Time((millis - CLOCKS_DIFFER_BY).max(0)),
        None => OffsetTarget::Earliest,
    };
    let places = admin.locate(admin.partitions_of(topics).await?, from).await?;
    Ok(places.into_iter().map(|place| (place.partition, place.offset..place.end)).collect())
}

/// What is looked for.
struct Wanted<'a> {
    topic: &'a str,
    function: &'a str,
    handled: &'a HashMap<i32, Range<i64>>,
    ignore: &'a [String],
}

/// What a structured event says of where it comes from.
#[derive(Deserialize)]
struct Origin {
    id: Option<String>,
    millstreamcause: Option<String>,
    millstreamfunction: Option<String>,
}

impl Wanted<'_> {
    /// Takes a record if it is one of those. Gives how much memory it takes.
    fn take(&self, record: &PastRecord, found: &mut HashMap<(i32, i64), Found>) -> usize {
        let Ok(headers) = &record.headers else { return 0 };
        let header = |name: &str| {
            headers
                .iter()
                .rev()
                .find(|(found, _)| found == name)
                .and_then(|(_, value)| std::str::from_utf8(value.as_deref()?).ok())
        };
        if let Some(class) = header(dead_letter::ERROR_CLASS) {
            let place = || {
                let is_ours = self.is_function(header(dead_letter::FUNCTION)?);
                let is_topic = is_ours && header(dead_letter::TOPIC)? == self.topic;
                let partition: i32 = header(dead_letter::PARTITION)?.parse().ok()?;
                let offset: i64 = header(dead_letter::OFFSET)?.parse().ok()?;
                is_topic.then_some((partition, offset)).filter(|place| self.is_wanted(place))
            };
            let Some(place) = place() else { return 0 };
            let message = header(dead_letter::ERROR_MESSAGE).unwrap_or_default();
            found.entry(place).or_default().given_up = Some((class.to_owned(), message.to_owned()));
            return 128 + message.len();
        }
        let is_structured = header("content-type").is_some_and(|text| text.starts_with("application/cloudevents+json"));
        let (id, cause, function) = match record.value.as_deref() {
            Some(value) if is_structured => match serde_json::from_slice::<Origin>(value) {
                Ok(origin) => (origin.id, origin.millstreamcause, origin.millstreamfunction),
                Err(_) => return 0,
            },
            _ => {
                let owned = |name: &str| header(name).map(str::to_owned);
                (owned("ce_id"), owned("ce_millstreamcause"), owned("ce_millstreamfunction"))
            }
        };
        if !function.is_some_and(|stamp| self.is_function(&stamp)) {
            return 0;
        }
        let Some(place) = cause.as_deref().and_then(|cause| self.place(cause)) else { return 0 };
        let topic: Arc<str> = record.partition.topic.clone();
        let borrowed = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let shape = Shape::of(&topic, record.key.as_deref(), record.value.as_deref(), borrowed, self.ignore);
        let bytes = shape.bytes();
        let id = id.map(String::into_bytes);
        let events = &mut found.entry(place).or_default().events;
        match events.iter_mut().find(|(known, event)| known.is_some() && *known == id && event.topic == topic) {
            // It was emitted again, after a crash or a reset: what came last counts.
            Some((_, event)) => *event = shape,
            None => events.push((id, shape)),
        }
        bytes
    }

    fn is_function(&self, stamp: &str) -> bool {
        stamp.split_once('@').is_some_and(|(name, _)| name == self.function)
    }

    fn is_wanted(&self, (partition, offset): &(i32, i64)) -> bool {
        self.handled.get(partition).is_some_and(|handled| handled.contains(offset))
    }

    /// The place in a cause: a topic's name has no slash.
    fn place(&self, cause: &str) -> Option<(i32, i64)> {
        let (partition, offset) = cause.strip_prefix(self.topic)?.strip_prefix('/')?.split_once('/')?;
        Some((partition.parse().ok()?, offset.parse().ok()?)).filter(|place| self.is_wanted(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::TopicPartition;

    fn record(topic: &str, value: &str, headers: &[(&str, &str)]) -> PastRecord {
        let owned = headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec())));
        PastRecord {
            partition: TopicPartition::new(topic, 0),
            offset: 0,
            timestamp_ms: None,
            key: None,
            value: Some(value.as_bytes().to_vec()),
            headers: Ok(owned.collect()),
        }
    }

    #[test]
    fn what_was_emitted_is_found_by_its_cause() {
        let handled = HashMap::from([(2, 5..10)]);
        let wanted = Wanted { topic: "bids", function: "mill", handled: &handled, ignore: &[] };
        let mut found = HashMap::new();
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
            ("not handled", binary("6", "bids/2/10", "mill@2")),
            ("no place", binary("7", "@call/0/7", "mill@2")),
        ] {
            wanted.take(&record("out", value, &headers), &mut found);
        }
        let structured = r#"{"id":"8","millstreamcause":"bids/2/8","millstreamfunction":"mill@1"}"#;
        wanted.take(&record("out", structured, &[("content-type", "application/cloudevents+json")]), &mut found);
        let letter = [
            ("millstream-error-class", "trap"),
            ("millstream-error-message", "told to"),
            ("millstream-function", "mill@1"),
            ("millstream-topic", "bids"),
            ("millstream-partition", "2"),
            ("millstream-offset", "9"),
        ];
        wanted.take(&record("mill.dead", "x", &letter), &mut found);
        let recorded = Recorded { handled: handled.clone(), found: Mutex::new(found) };
        let values = |side: Option<Side>| match side {
            Some(Side::Emitted(events)) => {
                events.iter().map(|event| String::from_utf8(event.value.clone().unwrap()).unwrap()).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(values(recorded.of(2, 7)), ["again", "second"]);
        assert_eq!(values(recorded.of(2, 8)).len(), 1);
        assert!(matches!(recorded.of(2, 9), Some(Side::GivenUp { class, .. }) if class == "trap"));
        assert_eq!(values(recorded.of(2, 5)), Vec::<String>::new(), "it emitted nothing");
        assert_eq!((recorded.of(2, 10), recorded.of(0, 5)), (None, None), "not handled yet");
    }
}
