//! What is finished of one partition, and what of it Kafka knows.

use std::ops::Range;
use std::sync::Arc;

use crate::model::lease::PartitionLease;
use crate::model::offset_map::{self, LONGEST};
use crate::model::offsets::PartitionProgress;

/// The progress of one lease.
///
/// Two lines run behind each other: records whose outcome is known (they free the partition's budget), and records
/// whose every emission is acknowledged (they may be committed).
#[derive(Debug)]
pub struct ProgressTracker {
    pub(crate) lease: Arc<PartitionLease>,
    known: PartitionProgress,
    acknowledged: PartitionProgress,
    /// Parcels with records of this lease that Kafka has not acknowledged.
    pub(crate) outstanding: usize,
    committed: PartitionProgress,
    committing: Option<PartitionProgress>,
}

/// What a commit says of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitPosition {
    pub(crate) offset: i64,
    pub(crate) metadata: String,
}

impl ProgressTracker {
    /// A tracker that continues where `finished` stands.
    pub(crate) fn new(lease: Arc<PartitionLease>, finished: PartitionProgress) -> Self {
        lease.set_watermark(finished.watermark());
        Self {
            lease,
            known: finished.clone(),
            acknowledged: finished.clone(),
            outstanding: 0,
            committed: finished,
            committing: None,
        }
    }

    /// Notes that the outcome of `records` records is known. Returns whether the partition's budget grew.
    pub(crate) fn know(&mut self, offsets: Range<i64>, records: usize) -> bool {
        let passed = self.known.finish(offsets, records);
        self.lease.set_known(self.known.watermark());
        if passed > 0 {
            self.lease.release(passed);
        }
        passed > 0
    }

    /// Notes that nothing of `offsets` is left to do.
    pub(crate) fn acknowledge(&mut self, offsets: Range<i64>) {
        self.acknowledged.finish(offsets, 0);
        self.lease.set_watermark(self.acknowledged.watermark());
    }

    /// What is finished, whether Kafka knows it or not.
    pub(crate) fn progress(&self) -> &PartitionProgress {
        &self.acknowledged
    }

    /// Whether more is finished than Kafka knows.
    pub(crate) fn is_uncommitted(&self) -> bool {
        self.acknowledged != self.committed
    }

    /// Where `progress` stands, when Kafka does not know it.
    pub(crate) fn place(&self, progress: &PartitionProgress, transaction: u64) -> Option<CommitPosition> {
        if *progress == self.committed {
            return None;
        }
        let encoded = offset_map::encode(progress, self.lease.topic_id, transaction, LONGEST);
        if encoded.left_out > 0 {
            tracing::debug!(partition = %self.lease.partition, ranges = encoded.left_out,
                "the out-of-order map is full: after a crash some finished records would run again");
        }
        Some(CommitPosition { offset: progress.watermark(), metadata: encoded.text })
    }

    /// What should be committed, when it is not already. Call [`Self::settle_commit`] with the answer.
    pub(crate) fn begin_commit(&mut self) -> Option<CommitPosition> {
        if !self.lease.is_alive() {
            return None;
        }
        let place = self.place(&self.acknowledged, 0)?;
        self.committing = Some(self.acknowledged.clone());
        Some(place)
    }

    /// Notes Kafka's answer to the last commit.
    pub(crate) fn settle_commit(&mut self, succeeded: bool) {
        if let Some(progress) = self.committing.take()
            && succeeded
        {
            self.committed(progress);
        }
    }

    /// Notes that Kafka knows `progress`.
    pub(crate) fn committed(&mut self, progress: PartitionProgress) {
        self.lease.set_committed(progress.watermark());
        self.committed = progress;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::TopicPartition;

    fn tracker() -> ProgressTracker {
        let lease = Arc::new(PartitionLease::new(TopicPartition::new("t", 0), 1, 10));
        lease.take(4);
        ProgressTracker::new(lease, PartitionProgress::new(10))
    }

    #[test]
    fn the_budget_is_freed_before_the_offset_is_committed() {
        let mut tracker = tracker();
        assert!(tracker.know(10..12, 2));
        assert_eq!(tracker.lease.in_flight(), 2);
        assert_eq!(tracker.lease.watermark(), 10);
        tracker.acknowledge(10..12);
        assert_eq!(tracker.begin_commit(), Some(CommitPosition { offset: 12, metadata: String::new() }));
    }

    #[test]
    fn a_commit_is_repeated_until_kafka_confirms_it() {
        let mut tracker = tracker();
        tracker.acknowledge(10..11);
        let place = tracker.begin_commit();
        tracker.settle_commit(false);
        assert_eq!(tracker.begin_commit(), place);
        tracker.settle_commit(true);
        assert_eq!(tracker.begin_commit(), None);
        tracker.acknowledge(12..13);
        assert_eq!(tracker.begin_commit().map(|place| place.offset), Some(11), "the map changed, not the watermark");
    }

    #[test]
    fn a_dead_lease_commits_nothing() {
        let mut tracker = tracker();
        tracker.acknowledge(10..11);
        tracker.lease.kill();
        assert_eq!(tracker.begin_commit(), None);
    }
}
