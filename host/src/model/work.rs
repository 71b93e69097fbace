//! What passes between stages: chunks of records, spans of them, batches made of spans. Never a single record.

use std::ops::Range;
use std::sync::Arc;

use crate::model::function::SharedRevision;
use crate::model::lease::PartitionLease;

/// Records of one partition, decoded into one arena.
#[derive(Debug)]
pub struct RecordChunk {
    /// The right under which they were taken.
    pub(crate) lease: Arc<PartitionLease>,
    /// The revision that handles them.
    pub(crate) revision: SharedRevision,
    /// What the records point into.
    pub(crate) arena: Vec<u8>,
    /// The records, in the order of their offsets.
    pub(crate) records: Vec<ChunkRecord>,
}

impl RecordChunk {
    /// The record at `index` in the flat layout.
    pub(crate) fn flat(&self, index: u32) -> &[u8] {
        self.slice(&self.records[index as usize].flat)
    }

    pub(crate) fn slice(&self, range: &Range<u32>) -> &[u8] {
        &self.arena[range.start as usize..range.end as usize]
    }
}

/// One record of a chunk.
#[derive(Debug)]
pub(crate) struct ChunkRecord {
    /// The first offset that is finished when this record is: offsets between the record before and this one were
    /// filtered, or never delivered (control records, compaction).
    pub(crate) from: i64,
    pub(crate) offset: i64,
    /// The record in the flat layout, in the arena.
    pub(crate) flat: Range<u32>,
    /// The value as Kafka gave it, in the arena, where the event's data is another (structured mode).
    pub(crate) original_value: Option<Range<u32>>,
    /// All headers in the arena, packed, where the flat record lacks some because their names are not UTF-8.
    pub(crate) original_headers: Option<Range<u32>>,
    /// A hash of the key; records without a key have none.
    pub(crate) key_hash: Option<u64>,
    /// Why the record is not an event although it says that it is one.
    pub(crate) undecodable: Option<Box<str>>,
}

/// Some consecutive records of a chunk, on one attempt.
#[derive(Debug, Clone)]
pub(crate) struct ChunkSlice {
    pub(crate) chunk: Arc<RecordChunk>,
    pub(crate) records: Range<u32>,
    /// 1 for the first attempt.
    pub(crate) attempt: u32,
    /// The revision of this attempt: the chunk's, or a later one on a retry.
    pub(crate) revision: SharedRevision,
}

impl ChunkSlice {
    /// All records of `chunk`, on their first attempt.
    pub(crate) fn whole(chunk: Arc<RecordChunk>) -> Self {
        let records = 0..chunk.records.len() as u32;
        Self::part(chunk, records)
    }

    /// Some records of `chunk`, on their first attempt.
    pub(crate) fn part(chunk: Arc<RecordChunk>, records: Range<u32>) -> Self {
        let revision = chunk.revision.clone();
        Self { chunk, records, attempt: 1, revision }
    }

    /// How many records it holds.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Takes its first `count` records off it.
    pub(crate) fn split_off_front(&mut self, count: usize) -> Self {
        let middle = self.records.start + (count.min(self.len())) as u32;
        let front = Self { records: self.records.start..middle, ..self.clone() };
        self.records.start = middle;
        front
    }

    /// Its records one by one.
    pub(crate) fn each(&self) -> impl Iterator<Item = RecordRef> + '_ {
        self.records.clone().map(|index| RecordRef { chunk: self.chunk.clone(), index })
    }
}

/// One record, kept alive with its chunk.
#[derive(Debug, Clone)]
pub(crate) struct RecordRef {
    pub(crate) chunk: Arc<RecordChunk>,
    /// The record's index in it.
    pub(crate) index: u32,
}

impl RecordRef {
    pub(crate) fn record(&self) -> &ChunkRecord {
        &self.chunk.records[self.index as usize]
    }

    /// The record in the flat layout.
    pub(crate) fn flat(&self) -> &[u8] {
        self.chunk.flat(self.index)
    }
}

/// Where records wait for their turn: those of one lane are handled one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaneId {
    /// The lease's epoch: a lane never outlives its partition's assignment.
    pub(crate) epoch: u64,
    /// What keeps records together in it.
    pub(crate) scope: LaneScope,
}

/// What keeps the records of a lane together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum LaneScope {
    Partition,
    /// Their key, as a hash: two keys that collide merely wait for each other.
    Key(u64),
    /// Nothing: this record, by its offset, waits for its next attempt alone.
    Record(i64),
}

/// What one worker takes at once.
#[derive(Debug, Default)]
pub(crate) struct WorkBatch {
    /// Spans with the lane that is held for them; within a lane in order. All of one revision.
    pub(crate) parts: Vec<BatchPart>,
    pub(crate) records: usize,
}

/// Records of one lane, or of none, within a batch.
#[derive(Debug)]
pub(crate) struct BatchPart {
    /// The lane, held until it is settled.
    pub(crate) lane: Option<LaneId>,
    pub(crate) span: ChunkSlice,
}
