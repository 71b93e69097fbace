//! What the intake knows of one partition that is assigned to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::function::SharedRevision;
use crate::model::lease::PartitionLease;
use crate::model::offsets::PartitionProgress;
use crate::model::work::{ChunkRecord, RecordChunk};

/// How long a full partition holds up its consumer before it is paused. A pause empties the local queue and fetches
/// again, which costs more than a short wait for work that is under way. See docs/decisions/0002-wait-before-pause.md.
const PATIENCE: Duration = Duration::from_millis(100);

/// The wait before a partition that failed is reassigned: what failed may fail again.
const ANEW_AFTER: Duration = Duration::from_secs(5);

/// A chunk is handed over when its records take this many bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Whether records of a partition may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartitionGate {
    Open,
    /// Its budget is used up, since then.
    Full(Instant),
    /// It was full for long: Kafka is asked not to deliver.
    Paused,
}

/// A gate's change that the consumer must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GateChange {
    Pause,
    Resume,
}

#[derive(Debug)]
pub(crate) struct PartitionIntake {
    /// The right to take its records.
    pub(crate) lease: Arc<PartitionLease>,
    /// Whether records may be taken.
    pub(crate) gate: PartitionGate,
    in_flight_limit: usize,
    finished_before: PartitionProgress,
    /// Offsets below are in chunks that were handed over, or were skipped.
    accounted: i64,
    seen: i64,
    arena: Vec<u8>,
    records: Vec<ChunkRecord>,
    doubt: FetchHealth,
}

/// Whether what the client gives of a partition is what comes next of it.
#[derive(Debug, Clone, Copy)]
enum FetchHealth {
    No,
    /// It failed at that time, and it has not been said yet that it must be reassigned.
    Since(Instant),
    Told,
}

impl PartitionIntake {
    /// A partition whose work starts at the watermark of `finished_before`.
    pub(crate) fn new(lease: Arc<PartitionLease>, finished_before: PartitionProgress, in_flight_limit: usize) -> Self {
        let start = finished_before.watermark();
        Self {
            lease,
            gate: PartitionGate::Open,
            in_flight_limit,
            finished_before,
            accounted: start,
            seen: start,
            arena: Vec::new(),
            records: Vec::new(),
            doubt: FetchHealth::No,
        }
    }

    /// The client failed, and may leave out a record from now on.
    pub(crate) fn fail(&mut self, now: Instant) {
        if matches!(self.doubt, FetchHealth::No) {
            self.doubt = FetchHealth::Since(now);
        }
    }

    /// The client failed, and assigning it again would not help.
    pub(crate) fn fail_for_good(&mut self) {
        self.doubt = FetchHealth::Told;
    }

    /// Whether nothing more may be taken of it.
    pub(crate) fn is_doubted(&self) -> bool {
        !matches!(self.doubt, FetchHealth::No)
    }

    /// Whether it must be reassigned now; says so once.
    pub(crate) fn is_due_anew(&mut self, now: Instant) -> bool {
        let is_due = matches!(self.doubt, FetchHealth::Since(since) if now.duration_since(since) >= ANEW_AFTER);
        if is_due {
            self.doubt = FetchHealth::Told;
        }
        is_due
    }

    /// Whether an earlier member of the group finished `offset` already.
    pub(crate) fn is_finished(&self, offset: i64) -> bool {
        self.finished_before.contains(offset)
    }

    /// Where the next record is decoded to.
    pub(crate) fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// Adds a record that was decoded to the arena; `record.from` is filled in here.
    pub(crate) fn add(&mut self, mut record: ChunkRecord) {
        record.from = self.accounted;
        self.accounted = record.offset + 1;
        self.seen = self.accounted;
        self.lease.take(1);
        self.records.push(record);
    }

    /// Notes that everything below `offset` was seen and nothing of it is left to do but what was added.
    pub(crate) fn pass_over(&mut self, offset: i64) {
        self.seen = self.seen.max(offset);
    }

    /// Whether the chunk is large enough to be handed over.
    pub(crate) fn has_full_chunk(&self, most_records: usize) -> bool {
        self.records.len() >= most_records || self.arena.len() >= CHUNK_BYTES
    }

    /// The records added since the last time.
    pub(crate) fn take_chunk(&mut self, revision: &SharedRevision) -> Option<RecordChunk> {
        if self.records.is_empty() {
            return None;
        }
        // The next chunk is about as large: growing copies what is there again and again.
        let arena_size = self.arena.len().next_power_of_two().min(CHUNK_BYTES);
        let record_count = self.records.len().next_power_of_two();
        let arena = std::mem::replace(&mut self.arena, Vec::with_capacity(arena_size));
        let records = std::mem::replace(&mut self.records, Vec::with_capacity(record_count));
        Some(RecordChunk { lease: self.lease.clone(), revision: revision.clone(), arena, records })
    }

    /// Offsets after the last record of a chunk that need no work. Ask after [`Self::take_chunk`].
    pub(crate) fn take_skipped(&mut self) -> Option<std::ops::Range<i64>> {
        debug_assert!(self.records.is_empty(), "chunks are handed over first");
        if self.seen <= self.accounted {
            return None;
        }
        let skipped = self.accounted..self.seen;
        self.accounted = self.seen;
        Some(skipped)
    }

    /// Looks at the budget. Gives what the consumer must know.
    pub(crate) fn update_gate(&mut self, now: Instant) -> Option<GateChange> {
        let in_flight = self.lease.in_flight();
        match self.gate {
            PartitionGate::Open if in_flight >= self.in_flight_limit => {
                self.gate = PartitionGate::Full(now);
                None
            }
            // Not at the first record that is finished: a slow partition would then hold up the others without end.
            PartitionGate::Full(_) if in_flight <= self.in_flight_limit * 3 / 4 => {
                self.gate = PartitionGate::Open;
                None
            }
            PartitionGate::Full(since) if now.duration_since(since) >= PATIENCE => {
                self.gate = PartitionGate::Paused;
                Some(GateChange::Pause)
            }
            PartitionGate::Paused if in_flight <= self.in_flight_limit / 2 => {
                self.gate = PartitionGate::Open;
                Some(GateChange::Resume)
            }
            PartitionGate::Open | PartitionGate::Full(_) | PartitionGate::Paused => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::TopicPartition;

    fn partition(limit: usize) -> PartitionIntake {
        let lease = Arc::new(PartitionLease::new(TopicPartition::new("t", 0), 1, 10));
        let mut finished = PartitionProgress::new(10);
        finished.finish(12..13, 1);
        PartitionIntake::new(lease, finished, limit)
    }

    fn record(offset: i64) -> ChunkRecord {
        ChunkRecord {
            from: 0,
            offset,
            flat: 0..0,
            original_value: None,
            original_headers: None,
            key_hash: None,
            undecodable: None,
        }
    }

    #[test]
    fn records_account_for_the_gap_before_them() {
        let mut partition = partition(10);
        partition.add(record(11));
        assert!(partition.is_finished(12));
        partition.pass_over(13);
        partition.add(record(15));
        let spans: Vec<_> = partition.records.iter().map(|record| record.from..record.offset + 1).collect();
        assert_eq!(spans, [10..12, 12..16]);
        partition.records.clear();
        assert_eq!(partition.take_skipped(), None);
        partition.pass_over(20);
        assert_eq!(partition.take_skipped(), Some(16..20));
    }

    #[test]
    fn what_failed_is_doubted_and_due_anew_once() {
        let mut partition = partition(10);
        let start = Instant::now();
        assert!(!partition.is_doubted() && !partition.is_due_anew(start + ANEW_AFTER));
        partition.fail(start);
        partition.fail(start + ANEW_AFTER);
        assert!(partition.is_doubted() && !partition.is_due_anew(start));
        assert!(partition.is_due_anew(start + ANEW_AFTER));
        assert!(partition.is_doubted() && !partition.is_due_anew(start + ANEW_AFTER));
    }

    #[test]
    fn a_full_partition_waits_then_pauses_then_resumes() {
        let mut partition = partition(2);
        let start = Instant::now();
        partition.add(record(10));
        partition.add(record(11));
        assert_eq!(partition.update_gate(start), None);
        assert_eq!(partition.gate, PartitionGate::Full(start));
        assert_eq!(partition.update_gate(start + PATIENCE), Some(GateChange::Pause));
        assert_eq!(partition.update_gate(start + PATIENCE), None);
        partition.lease.release(1);
        assert_eq!(partition.update_gate(start + PATIENCE), Some(GateChange::Resume));
        assert_eq!(partition.gate, PartitionGate::Open);
    }
}
