//! What a function emitted for the records of a topic's past, found in the topics that it writes to.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Range;

use crate::config::offset_target::OffsetTarget;
use crate::inspect::compare::{EmittedIndex, written_by};
use crate::inspect::replay::{ComparedOutcome, ReplayError, ReplayPlan};
use crate::kafka::read::range::{self, PartitionRange};
use crate::model::function::SharedRevision;
use crate::model::record::PastRecord;
use crate::pipeline::supervisor::HostServices;

/// Outputs are written after their records, by clocks that may differ by so much: milliseconds.
const CLOCKS_DIFFER_BY: i64 = 10 * 60 * 1000;
/// What is kept in memory of what was emitted, in bytes.
const MOST_BYTES: usize = 512 << 20;

pub(crate) struct RecordedOutputs {
    handled: HashMap<i32, Range<i64>>,
    emitted: Mutex<EmittedIndex>,
}

impl RecordedOutputs {
    pub(crate) async fn scan(
        ground: &HostServices,
        order: &ReplayPlan,
        revisions: &[SharedRevision],
        parts: &[PartitionRange],
    ) -> Result<Self, ReplayError> {
        let handled = handled(ground, order, parts).await?;
        let mut topics = written_by(revisions);
        let existing = ground.environment.admin.topics().await?;
        topics.retain(|topic| existing.contains_key(topic));
        let since = earliest(ground, parts).await?;
        let places = places_since(ground, topics.into_iter().collect(), since).await?;
        let mut emitted = EmittedIndex::new(order.revision.manifest.name.clone(), order.ignore.clone());
        let is_wanted = |topic: &str, partition: i32, offset: i64| {
            topic == order.topic && handled.get(&partition).is_some_and(|handled| handled.contains(&offset))
        };
        let mut portions = range::read(&ground.environment.kafka, places);
        while let Some(portion) = portions.recv().await {
            for record in portion? {
                emitted.take(&record, is_wanted);
            }
            if emitted.bytes() > MOST_BYTES {
                return Err(ReplayError::Refused(format!(
                    "what was emitted for these records takes more than {} MiB: choose a shorter range, or compare with \
                     the live revision",
                    MOST_BYTES >> 20
                )));
            }
        }
        Ok(Self { handled, emitted: Mutex::new(emitted) })
    }

    /// What came of a record; nothing when it was not handled yet. Asked once for each.
    pub(crate) fn of(&self, PastRecord { partition, offset, .. }: &PastRecord) -> Option<ComparedOutcome> {
        if !self.handled.get(&partition.partition).is_some_and(|handled| handled.contains(offset)) {
            return None;
        }
        Some(self.emitted.lock().remove(partition, *offset))
    }
}

/// The parts of `parts` that the function has handled.
async fn handled(
    ground: &HostServices,
    order: &ReplayPlan,
    parts: &[PartitionRange],
) -> Result<HashMap<i32, Range<i64>>, ReplayError> {
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
async fn earliest(ground: &HostServices, parts: &[PartitionRange]) -> Result<Option<i64>, ReplayError> {
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

async fn places_since(
    ground: &HostServices,
    topics: Vec<String>,
    since: Option<i64>,
) -> Result<Vec<PartitionRange>, ReplayError> {
    let admin = &ground.environment.admin;
    let from = match since {
        Some(millis) => OffsetTarget::Time((millis - CLOCKS_DIFFER_BY).max(0)),
        None => OffsetTarget::Earliest,
    };
    let places = admin.locate(admin.partitions_of(topics).await?, from).await?;
    Ok(places.into_iter().map(|place| (place.partition, place.offset..place.end)).collect())
}
