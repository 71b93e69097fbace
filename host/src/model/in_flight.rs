//! What was taken of a partition and is not finished, oldest first: so that a status can name the record that blocks.
//!
//! It costs a chunk one entry, and holds no chunk in memory.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Weak;
use std::time::Instant;

use crate::model::work::{RecordChunk, RecordRef};

/// The chunks that were taken under a lease and reach beyond its watermark.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<VecDeque<InFlightChunk>>);

#[derive(Debug)]
struct InFlightChunk {
    end: i64,
    at: Instant,
    chunk: Weak<RecordChunk>,
}

/// The oldest record that is not finished.
#[derive(Debug, Clone)]
pub(crate) struct OldestRecord {
    pub(crate) offset: i64,
    /// When it was taken from Kafka.
    pub(crate) taken: Instant,
    /// The record itself, while someone works on it.
    pub(crate) record: Option<RecordRef>,
}

impl UnderWay {
    /// Notes a chunk that was taken. What lies below `watermark` is forgotten.
    pub(crate) fn note(&self, chunk: &std::sync::Arc<RecordChunk>, watermark: i64) {
        let Some(last) = chunk.records.last() else { return };
        let mut chunks = self.chunks();
        while chunks.front().is_some_and(|front| front.end <= watermark) {
            chunks.pop_front();
        }
        let chunk = std::sync::Arc::downgrade(chunk);
        chunks.push_back(InFlightChunk { end: last.offset + 1, at: Instant::now(), chunk });
    }

    /// The oldest record at or above `watermark`; nothing when no record above it was taken.
    pub(crate) fn oldest(&self, watermark: i64) -> Option<OldestRecord> {
        let chunks = self.chunks();
        let found = chunks.iter().find(|taken| taken.end > watermark)?;
        let record = found.chunk.upgrade().and_then(|chunk| {
            let index = chunk.records.partition_point(|record| record.offset < watermark);
            (index < chunk.records.len()).then(|| RecordRef { index: index as u32, chunk })
        });
        let offset = record.as_ref().map_or(watermark, |record| record.record().offset);
        Some(OldestRecord { offset, taken: found.at, record })
    }

    /// The end of what was taken last.
    pub(crate) fn end(&self) -> Option<i64> {
        self.chunks().back().map(|taken| taken.end)
    }

    fn chunks(&self) -> parking_lot::MutexGuard<'_, VecDeque<InFlightChunk>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::function::tests_support::revision;
    use crate::model::lease::PartitionLease;
    use crate::model::position::TopicPartition;
    use crate::model::work::ChunkRecord;

    fn chunk(lease: &Arc<PartitionLease>, offsets: &[i64]) -> Arc<RecordChunk> {
        let record = |offset: &i64| ChunkRecord {
            from: *offset,
            offset: *offset,
            flat: 0..0,
            original_value: None,
            original_headers: None,
            key_hash: None,
            undecodable: None,
        };
        let records = offsets.iter().map(record).collect();
        Arc::new(RecordChunk { lease: lease.clone(), revision: revision(), arena: Vec::new(), records })
    }

    #[test]
    fn the_oldest_is_the_first_at_or_above_the_watermark() {
        let lease = Arc::new(PartitionLease::new(TopicPartition::new("t", 0), 1, 10));
        let (first, second) = (chunk(&lease, &[10, 12]), chunk(&lease, &[13, 14]));
        let under_way = UnderWay::default();
        assert!(under_way.oldest(10).is_none());
        under_way.note(&first, 10);
        under_way.note(&second, 10);
        let offset = |watermark| under_way.oldest(watermark).map(|oldest| oldest.offset);
        assert_eq!((offset(10), offset(11), offset(13), offset(15)), (Some(10), Some(12), Some(13), None));
        drop(second);
        let gone = under_way.oldest(14).expect("it is not finished");
        assert!(gone.record.is_none() && gone.offset == 14, "the place is known when the record is gone");
        assert_eq!(under_way.end(), Some(15));
    }
}
