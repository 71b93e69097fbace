//! The right to work on a partition: given by an assignment, dead for good once it is taken away.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::model::in_flight::UnderWay;
use crate::model::position::TopicPartition;
use crate::model::stall_state::StallState;
use crate::model::topic_id::TopicId;

/// One assignment of one partition. Anyone who publishes or commits for the partition asks it first.
///
/// Also holds the partition's figures, so that a status is read without asking any stage.
#[derive(Debug)]
pub(crate) struct PartitionLease {
    pub(crate) partition: TopicPartition,
    /// Counts the assignments of this host: no two leases have the same.
    pub(crate) epoch: u64,
    /// Which topic of that name it is, where Kafka says: its commits carry it, so that the next owner knows.
    pub(crate) topic_id: Option<TopicId>,
    /// What was taken and is not finished.
    pub(crate) under_way: UnderWay,
    pub(crate) standing: StallState,
    alive: AtomicBool,
    in_flight: AtomicUsize,
    known: AtomicI64,
    watermark: AtomicI64,
    committed: AtomicI64,
    end: AtomicI64,
}

impl PartitionLease {
    /// A live lease whose work starts at offset `start`.
    pub(crate) fn new(partition: TopicPartition, epoch: u64, start: i64) -> Self {
        Self {
            partition,
            epoch,
            topic_id: None,
            under_way: UnderWay::default(),
            standing: StallState::new(start),
            alive: AtomicBool::new(true),
            in_flight: AtomicUsize::new(0),
            known: AtomicI64::new(start),
            watermark: AtomicI64::new(start),
            committed: AtomicI64::new(start),
            end: AtomicI64::new(start),
        }
    }

    /// The same of that topic.
    pub(crate) fn of_topic(self, topic_id: Option<TopicId>) -> Self {
        Self { topic_id, ..self }
    }

    /// Whether the partition is still this host's.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// Ends the lease: nothing that was done under it is published or committed from now on.
    pub(crate) fn kill(&self) {
        self.alive.store(false, Ordering::Release);
    }

    /// Records taken and not yet finished without a gap.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Counts records that were taken from Kafka.
    pub(crate) fn take(&self, records: usize) {
        self.in_flight.fetch_add(records, Ordering::AcqRel);
    }

    /// Counts records that are finished and have nothing unfinished below them.
    pub(crate) fn release(&self, records: usize) {
        let before = self.in_flight.fetch_sub(records, Ordering::AcqRel);
        debug_assert!(before >= records, "more records finished than were taken");
    }

    /// Every offset below is finished.
    pub(crate) fn watermark(&self) -> i64 {
        self.watermark.load(Ordering::Acquire)
    }

    /// Notes how far everything is finished.
    pub(crate) fn set_watermark(&self, watermark: i64) {
        self.watermark.store(watermark, Ordering::Release);
    }

    /// The outcome of every record below is known.
    pub(crate) fn known(&self) -> i64 {
        self.known.load(Ordering::Acquire)
    }

    /// Notes how far every outcome is known.
    pub(crate) fn set_known(&self, known: i64) {
        self.known.store(known, Ordering::Release);
    }

    /// The offset that Kafka has.
    pub(crate) fn committed(&self) -> i64 {
        self.committed.load(Ordering::Acquire)
    }

    pub(crate) fn set_committed(&self, committed: i64) {
        self.committed.store(committed, Ordering::Release);
    }

    /// For how long nothing was committed although there are records.
    pub(crate) fn stands_for(&self) -> Duration {
        let committed = self.committed();
        self.standing.observe(committed, self.end().max(self.watermark()) > committed)
    }

    /// The next offset to be taken, as far as it is known here.
    pub(crate) fn position(&self) -> i64 {
        self.watermark().max(self.under_way.end().unwrap_or(i64::MIN))
    }

    /// The partition's end as far as it is known here.
    pub(crate) fn end(&self) -> i64 {
        self.end.load(Ordering::Acquire)
    }

    /// Notes an end; an older, smaller one changes nothing.
    pub(crate) fn raise_end(&self, end: i64) {
        self.end.fetch_max(end, Ordering::AcqRel);
    }
}
