//! What the live revision emitted, read from its output topics as far as a shadow needs it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::config::offset_target::OffsetTarget;
use crate::inspect::compare::{EmittedIndex, written_by};
use crate::inspect::shadow::task::{ShadowClients, ShadowError, ShadowTask};
use crate::kafka::admin::KafkaAdmin;
use crate::kafka::read::range::PartitionRange;
use crate::model::position::TopicPartition;
use crate::model::shadow::ShadowRevision;

/// By how much the clocks of hosts may differ: milliseconds.
const CLOCKS_DIFFER_BY: u64 = 60_000;
/// What is kept in memory of what was emitted and not compared yet, in bytes.
const MOST_BYTES: usize = 64 << 20;
/// How often it is looked for partitions, and topics, that are new.
const LOOK_FOR_NEW_EVERY: Duration = Duration::from_secs(10);
/// The wait until a transaction that is under way may be over.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

pub(crate) struct OutputReader {
    admin: KafkaAdmin,
    shadow: ShadowRevision,
    /// The next offset of each partition.
    positions: BTreeMap<TopicPartition, i64>,
    looked_for_new: Instant,
    emitted: EmittedIndex,
}

/// How far outputs were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CatchUp {
    /// Everything that was written before this began.
    Up,
    /// There is too much of it.
    TooMuch,
}

impl OutputReader {
    /// Reads what was written from `since_ms` on, by the clocks of hosts.
    pub(crate) async fn open(follower: &ShadowTask, since_ms: u64) -> Result<Self, ShadowError> {
        let shadow = follower.shadow.clone();
        let name = shadow.revision.manifest.name.clone();
        let mut outputs = Self {
            admin: follower.services.environment.admin.clone(),
            emitted: EmittedIndex::new(name, shadow.ignore.to_vec()),
            shadow,
            positions: BTreeMap::new(),
            looked_for_new: Instant::now(),
        };
        outputs.look_for_new(since_ms).await?;
        Ok(outputs)
    }

    /// Partitions that are not known yet are read from what was written since `since_ms`.
    async fn look_for_new(&mut self, since_ms: u64) -> Result<(), ShadowError> {
        let existing = self.admin.topics().await?;
        let mut topics = written_by(&self.shadow.beside);
        topics.retain(|topic| existing.contains_key(topic));
        let mut partitions = self.admin.partitions_of(topics.into_iter().collect()).await?;
        self.positions.retain(|partition, _| partitions.contains(partition));
        partitions.retain(|partition| !self.positions.contains_key(partition));
        let since = i64::try_from(since_ms.saturating_sub(CLOCKS_DIFFER_BY)).unwrap_or(i64::MAX);
        let places = self.admin.locate(partitions, OffsetTarget::Time(since)).await?;
        self.positions.extend(places.into_iter().map(|place| (place.partition, place.offset)));
        self.looked_for_new = Instant::now();
        Ok(())
    }

    /// Reads everything that was written before now. What comes of records at places that are not `wanted` is passed over.
    ///
    /// The ends that count are those of what is written, whether its transaction is over or not: Kafka answers a commit
    /// before every partition knows of it.
    pub(crate) async fn catch_up(
        &mut self,
        tools: &ShadowClients,
        since_ms: u64,
        wanted: &(dyn Fn(&str, i32, i64) -> bool + Send + Sync),
    ) -> Result<CatchUp, ShadowError> {
        if self.looked_for_new.elapsed() >= LOOK_FOR_NEW_EVERY {
            self.look_for_new(since_ms).await?;
        }
        let partitions: Vec<TopicPartition> = self.positions.keys().cloned().collect();
        let goals = tools.bookmarks.ends(partitions.clone()).await?;
        loop {
            let ends = tools.reader.ends(partitions.clone()).await?;
            let mut parts: Vec<PartitionRange> = Vec::new();
            for (partition, position) in &self.positions {
                let end = ends.get(partition).ok_or_else(|| ShadowError::Untold(partition.clone()))?;
                parts.push((partition.clone(), *position..*end));
            }
            let mut portions = tools.reader.read(parts.clone());
            while let Some(portion) = portions.recv().await {
                for record in portion? {
                    self.emitted.take(&record, wanted);
                }
                if self.emitted.bytes() > MOST_BYTES {
                    return Ok(CatchUp::TooMuch);
                }
            }
            let mut is_complete = true;
            for (partition, part) in parts {
                let goal = goals.get(&partition).ok_or_else(|| ShadowError::Untold(partition.clone()))?;
                is_complete &= part.end >= *goal;
                self.positions.entry(partition).and_modify(|position| *position = part.end.max(*position));
            }
            if is_complete {
                return Ok(CatchUp::Up);
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// Passes over everything that is written by now.
    pub(crate) async fn pass_over(&mut self, tools: &ShadowClients) -> Result<(), ShadowError> {
        self.emitted.clear();
        let ends = tools.bookmarks.ends(self.positions.keys().cloned().collect()).await?;
        for (partition, position) in &mut self.positions {
            *position = *ends.get(partition).ok_or_else(|| ShadowError::Untold(partition.clone()))?;
        }
        Ok(())
    }

    /// What was found of records that are not compared yet.
    pub(crate) fn emitted(&mut self) -> &mut EmittedIndex {
        &mut self.emitted
    }
}
