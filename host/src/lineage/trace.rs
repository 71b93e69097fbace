//! The walk: up from place to place, then down, level by level.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::kafka::admin::AdminError;
use crate::kafka::read::history::{HistoryReader, RecordLookup, ScanBounds};
use crate::lineage::topology::FunctionTopology;
use crate::lineage::view::{Lineage, LineageNode, NodeFault, NodeKind, ScanReport};
use crate::model::function::SharedRevision;
use crate::model::position::TopicPartition;
use crate::model::record::PastRecord;
use crate::model::record_id::RecordId;
use crate::model::stamp::RecordStamp;

/// Causes of causes. Functions that emit to their own input make long chains.
const DEEPEST: usize = 100;
const MOST_NODES: usize = 2_000;
/// The clocks of a record's producer and of the host that wrote its effects may differ by so much.
const CLOCKS_DIFFER_BY_MS: i64 = 60_000;
/// Stands for the topic in the cause of what was emitted by a call over HTTP.
const CALL: &str = "@call";

#[derive(Debug, Clone)]
pub(crate) struct TraceRequest {
    pub(crate) place: RecordId,
    /// Whether effects of the first cause are looked for, and not only of the record.
    pub(crate) whole: bool,
    /// How long after a record its effects may have come.
    pub(crate) window: Duration,
    /// How many records may be read for it.
    pub(crate) records: usize,
    /// How long it may take.
    pub(crate) within: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    /// Kafka does not answer as it should.
    #[error(transparent)]
    Kafka(#[from] AdminError),
    /// There is no such partition.
    #[error("there is no partition {0}")]
    NoPartition(TopicPartition),
    /// There is no such record.
    #[error("{place}: the partition holds offsets {beginning} to before {end}")]
    NoRecord {
        /// Where one was looked for.
        place: RecordId,
        /// The first offset that is there.
        beginning: i64,
        end: i64,
    },
}

/// Answers `question` among the functions with these revisions. Blocks.
pub(crate) fn trace(
    session: &HistoryReader,
    revisions: &[SharedRevision],
    question: &TraceRequest,
) -> Result<Lineage, TraceError> {
    let start = Instant::now();
    let mut walk = TraceWalk {
        session,
        wiring: FunctionTopology::new(revisions),
        window_ms: i64::try_from(question.window.as_millis()).unwrap_or(i64::MAX / 4),
        bounds: ScanBounds { records: question.records, deadline: start + question.within },
        nodes: Vec::new(),
        places: HashMap::new(),
        knows_times: true,
        scan: ScanReport::default(),
    };
    let asked = walk.up(&question.place)?;
    walk.nodes[asked].view.asked = true;
    walk.down(if question.whole { 0 } else { asked }, question)?;
    walk.scan.records = question.records - walk.bounds.records;
    walk.scan.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let TraceWalk { nodes, mut scan, .. } = walk;
    scan.topics.sort();
    scan.topics.dedup();
    Ok(Lineage { root: tree(nodes), scan })
}

/// A record that was found, after whatever led to it.
struct TraceStep {
    view: LineageNode,
    place: RecordId,
    cause: Option<usize>,
}

struct TraceWalk<'a> {
    session: &'a HistoryReader,
    wiring: FunctionTopology,
    window_ms: i64,
    bounds: ScanBounds,
    nodes: Vec<TraceStep>,
    places: HashMap<RecordId, usize>,
    /// Whether the broker finds offsets by time. The embedded one answers with the end, whatever the time.
    knows_times: bool,
    scan: ScanReport,
}

impl TraceWalk<'_> {
    /// Finds the record and its causes; gives its index, the first cause is at 0.
    fn up(&mut self, place: &RecordId) -> Result<usize, TraceError> {
        let record = match self.session.record(&place.partition, place.offset)? {
            RecordLookup::Record(record) => record,
            RecordLookup::NoPartition => return Err(TraceError::NoPartition(place.partition.clone())),
            RecordLookup::Nothing => {
                let (beginning, end) = self.session.edges(&place.partition)?;
                return Err(TraceError::NoRecord { place: place.clone(), beginning, end });
            }
        };
        if let Some(unix_ms) = record.timestamp_ms {
            let found = self.session.offsets_at(std::slice::from_ref(&place.partition), unix_ms)?;
            self.knows_times = found.get(&place.partition).is_some_and(|offset| *offset <= place.offset);
        }
        let stamp = stamp_of(&record);
        let mut cause = cause_of(&stamp).cloned();
        let mut chain = vec![(place.clone(), view(&record, stamp))];
        while let Some(place) = cause.take() {
            if chain.len() > DEEPEST {
                self.scan.cut.push(format!("above {}: more than {DEEPEST} causes", chain[chain.len() - 1].0));
                break;
            }
            if chain.iter().any(|(known, _)| *known == place) {
                break;
            }
            let found = if is_call(&place) {
                RecordLookup::Nothing
            } else {
                self.session.record(&place.partition, place.offset)?
            };
            let view = match found {
                RecordLookup::Record(record) => {
                    let stamp = stamp_of(&record);
                    cause = cause_of(&stamp).cloned();
                    view(&record, stamp)
                }
                RecordLookup::Nothing | RecordLookup::NoPartition => missing(&place),
            };
            chain.push((place, view));
        }
        for (place, view) in chain.into_iter().rev() {
            let cause = self.nodes.len().checked_sub(1);
            self.add(place, view, cause);
        }
        Ok(self.nodes.len() - 1)
    }

    /// Looks for what the record at `from` led to, and what that led to.
    fn down(&mut self, from: usize, question: &TraceRequest) -> Result<(), TraceError> {
        let mut level = vec![from];
        while !level.is_empty() {
            let found_before = self.nodes.len();
            // Of those that lead to the record which was asked for, one effect is known already.
            let known: Vec<usize> = (0..found_before)
                .filter(|index| self.nodes[*index].cause.is_some_and(|cause| level.contains(&cause)))
                .collect();
            let is_complete = self.look_after(&level)?;
            if self.nodes.len() >= MOST_NODES {
                self.scan.cut.push(format!("after {MOST_NODES} records of the lineage"));
                break;
            }
            if !is_complete {
                let cut = match self.bounds.records {
                    0 => format!("after {} records that were read", question.records),
                    _ => format!("after {}", humantime::format_duration(question.within)),
                };
                self.scan.cut.push(cut);
                break;
            }
            level = known.into_iter().chain(found_before..self.nodes.len()).collect();
        }
        Ok(())
    }

    /// Adds what the records of `level` led to. Returns whether the bounds allowed it.
    fn look_after(&mut self, level: &[usize]) -> Result<bool, TraceError> {
        let views = || level.iter().map(|index| &self.nodes[*index].view);
        let topics: Vec<String> = {
            let mut topics: Vec<_> = views().flat_map(|view| self.wiring.after(&view.topic)).collect();
            topics.sort();
            topics.dedup();
            topics.retain(|topic| self.session.topics().contains_key(topic));
            topics
        };
        let partitions: Vec<TopicPartition> = topics
            .iter()
            .flat_map(|topic| {
                (0..self.session.topics()[topic]).map(|number| TopicPartition::new(topic.as_str(), number))
            })
            .collect();
        if partitions.is_empty() {
            return Ok(true);
        }
        // A record without a time may be of any.
        let earliest = views().map(|view| view.timestamp_ms).min().flatten().filter(|_| self.knows_times);
        let latest = views().filter_map(|view| view.timestamp_ms).max();
        let mut ranges = self.session.since(&partitions, earliest.map(|ms| ms - CLOCKS_DIFFER_BY_MS))?;
        if let Some(latest) = latest {
            let ends = self.session.offsets_at(&partitions, latest.saturating_add(self.window_ms))?;
            let mut is_cut = false;
            for range in &mut ranges {
                let (partition, offsets) = range;
                if let Some(end) = ends.get(partition).filter(|end| **end < offsets.end) {
                    offsets.end = *end;
                    is_cut = true;
                }
            }
            if is_cut {
                let window = Duration::from_millis(self.window_ms.unsigned_abs());
                self.scan.cut.push(format!(
                    "{} after the cause, in {}",
                    humantime::format_duration(window),
                    topics.join(", ")
                ));
            }
        }
        self.scan.topics.extend(topics);
        let causes: HashMap<&RecordId, usize> = level.iter().map(|index| (&self.nodes[*index].place, *index)).collect();
        let mut found = Vec::new();
        let mut bounds = self.bounds;
        let is_complete = self.session.scan(&ranges, &mut bounds, &mut |past| {
            let stamp = RecordStamp::read(past.headers(), past.value());
            if let Some(cause) = cause_of(&stamp).and_then(|cause| causes.get(cause)).copied() {
                found.push((past.detach(), stamp, cause));
            }
        })?;
        self.bounds = bounds;
        // Partitions are read as they come: the order is made here.
        found.sort_by_key(|(record, ..)| (record.timestamp_ms, record.partition.clone(), record.offset));
        for (record, stamp, cause) in found {
            let place = RecordId { partition: record.partition.clone(), offset: record.offset };
            if !self.places.contains_key(&place) && self.nodes.len() < MOST_NODES {
                self.add(place, view(&record, stamp), Some(cause));
            }
        }
        Ok(is_complete)
    }

    fn add(&mut self, place: RecordId, mut view: LineageNode, cause: Option<usize>) {
        let since = cause.and_then(|cause| self.nodes[cause].view.timestamp_ms);
        view.after_ms = view.timestamp_ms.zip(since).map(|(time, since)| time - since);
        self.places.insert(place.clone(), self.nodes.len());
        self.nodes.push(TraceStep { view, place, cause });
    }
}

fn is_call(place: &RecordId) -> bool {
    &*place.partition.topic == CALL
}

fn stamp_of(record: &PastRecord) -> RecordStamp {
    RecordStamp::read(record.headers(), record.value.as_deref())
}

/// The record that led to this one: the dead letter that was redriven, the record that was dead-lettered, or what the event
/// names.
fn cause_of(stamp: &RecordStamp) -> Option<&RecordId> {
    let dead_lettered = stamp.dead_letter.as_ref().map(|letter| &letter.record);
    stamp.redriven.as_ref().or(dead_lettered).or(stamp.cause.as_ref())
}

fn view(record: &PastRecord, stamp: RecordStamp) -> LineageNode {
    let (kind, function, attempt, fault) = match stamp.dead_letter {
        None => (NodeKind::Event, stamp.function, stamp.attempt, None),
        Some(letter) => {
            let fault = NodeFault { class: letter.class, message: letter.message };
            (NodeKind::DeadLetter, Some(letter.function), Some(letter.attempts), Some(fault))
        }
    };
    let function = function.as_deref().and_then(|function| function.rsplit_once('@'));
    LineageNode {
        kind,
        topic: record.partition.topic.to_string(),
        partition: record.partition.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.as_ref().and_then(|key| String::from_utf8(key.clone()).ok()),
        id: stamp.id,
        type_: stamp.type_,
        source: stamp.source,
        function: function.map(|(name, _)| name.to_owned()),
        revision: function.and_then(|(_, revision)| revision.parse().ok()),
        attempt,
        fault,
        redriven: stamp.redriven.is_some(),
        traceparent: stamp.traceparent,
        ..LineageNode::default()
    }
}

fn missing(place: &RecordId) -> LineageNode {
    LineageNode {
        kind: if is_call(place) { NodeKind::Call } else { NodeKind::Missing },
        topic: place.partition.topic.to_string(),
        partition: place.partition.partition,
        offset: place.offset,
        ..LineageNode::default()
    }
}

/// Hangs every record below its cause. Causes come before their effects, so that the last have nothing below them.
fn tree(mut nodes: Vec<TraceStep>) -> LineageNode {
    while nodes.len() > 1 {
        let Some(TraceStep { mut view, cause, .. }) = nodes.pop() else { break };
        view.effects.reverse();
        if let Some(cause) = cause {
            nodes[cause].view.effects.push(view);
        }
    }
    let mut root = nodes.pop().map(|step| step.view).unwrap_or_default();
    root.effects.reverse();
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stamp::DeadLetterStamp;

    #[test]
    fn what_led_to_a_record_is_the_latest_that_it_names() {
        let (letter, event, redriven) =
            (RecordId::new("bids", 1, 8), RecordId::new("a", 0, 0), RecordId::new("d", 0, 4));
        let dead_letter = DeadLetterStamp {
            class: "reject".to_owned(),
            message: "no bid".to_owned(),
            attempts: 5,
            function: "place-bid@2".to_owned(),
            record: letter.clone(),
            timestamp_ms: None,
        };
        let mut stamp =
            RecordStamp { cause: Some(event.clone()), function: Some("f@1".to_owned()), ..RecordStamp::default() };
        assert_eq!(cause_of(&stamp), Some(&event));
        stamp.dead_letter = Some(dead_letter);
        assert_eq!(cause_of(&stamp), Some(&letter));
        stamp.redriven = Some(redriven.clone());
        assert_eq!(cause_of(&stamp), Some(&redriven));
        let record = PastRecord {
            partition: TopicPartition::new("place-bid.dead", 0),
            offset: 1,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let node = view(&record, stamp);
        assert_eq!(
            (node.kind, node.function.as_deref(), node.revision),
            (NodeKind::DeadLetter, Some("place-bid"), Some(2))
        );
        assert_eq!((node.attempt, node.redriven), (Some(5), true));
    }

    #[test]
    fn effects_hang_below_their_causes_in_the_order_in_which_they_came() {
        let step = |offset, cause| {
            let place = RecordId::new("t", 0, offset);
            TraceStep { view: missing(&place), place, cause }
        };
        let root = tree(vec![step(0, None), step(1, Some(0)), step(2, Some(0)), step(3, Some(1)), step(4, Some(1))]);
        let offsets = |node: &LineageNode| node.effects.iter().map(|effect| effect.offset).collect::<Vec<_>>();
        assert_eq!((root.offset, offsets(&root)), (0, vec![1, 2]));
        assert_eq!((offsets(&root.effects[0]), offsets(&root.effects[1])), (vec![3, 4], vec![]));
    }
}
