//! What others see of a shard. Reading it asks no one.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dispatch::board::Board;
use crate::model::lease::PartitionLease;
use crate::model::status::PartitionStatus;
use crate::pipeline::blocker::BlockingRecord;

/// How long a trouble that passes by itself is shown.
const TROUBLE_SHOWN_FOR: Duration = Duration::from_secs(10);

/// A record that holds the watermark for less is only on its way.
const BLOCKS_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct ShardView {
    board: Arc<Board>,
    seen: Mutex<ShardState>,
}

#[derive(Debug, Default)]
struct ShardState {
    has_joined: bool,
    is_paused: bool,
    leases: Vec<Arc<PartitionLease>>,
    passing: Option<(Instant, String)>,
    fatal: Option<String>,
    out_of_range: Option<String>,
}

impl ShardView {
    /// A view of a shard that has not joined yet.
    pub(crate) fn new(board: Arc<Board>) -> Self {
        Self { board, seen: Mutex::default() }
    }

    /// Notes something that a person should know.
    pub(crate) fn note_trouble(&self, reason: String, fatal: bool) {
        let mut seen = self.seen();
        if fatal {
            tracing::error!(%reason, "a shard can't continue");
            seen.fatal = Some(reason);
        } else {
            tracing::debug!(%reason, "passing trouble");
            seen.passing = Some((Instant::now(), reason));
        }
    }

    /// Notes that Kafka has no longer, or not yet, what one of the partitions wants to read; it does not say which.
    pub(crate) fn note_out_of_range(&self, reason: String) {
        self.seen().out_of_range = Some(reason);
    }

    /// What was noted by [`Self::note_out_of_range`] since the last time.
    pub(crate) fn take_out_of_range(&self) -> Option<String> {
        self.seen().out_of_range.take()
    }

    /// The record that holds the watermark of `lease`.
    pub(crate) fn blocker(&self, lease: &PartitionLease) -> Option<BlockingRecord> {
        BlockingRecord::of(lease, &self.board)
    }

    /// Shows the partitions that it has.
    pub(crate) fn show(&self, leases: &[Arc<PartitionLease>]) {
        let mut seen = self.seen();
        seen.has_joined = true;
        seen.leases = leases.to_vec();
    }

    /// Whether partitions were assigned, or it is known that there are none for this host.
    pub(crate) fn has_joined(&self) -> bool {
        self.seen().has_joined
    }

    /// Shows whether it takes nothing of its partitions, and has finished what it had taken.
    pub(crate) fn show_paused(&self, is_paused: bool) {
        self.seen().is_paused = is_paused;
    }

    /// Whether it takes nothing of its partitions, and has finished what it had taken.
    pub(crate) fn is_paused(&self) -> bool {
        self.seen().is_paused
    }

    /// Why it can't continue.
    pub(crate) fn fatal(&self) -> Option<String> {
        self.seen().fatal.clone()
    }

    /// Why one of its partitions makes no progress.
    pub(crate) fn stalled(&self) -> Option<String> {
        self.leases().iter().find_map(|lease| lease.standing.reason())
    }

    /// What went wrong a moment ago.
    pub(crate) fn passing(&self) -> Option<String> {
        let seen = self.seen();
        let recent = seen.passing.as_ref().filter(|(at, _)| at.elapsed() < TROUBLE_SHOWN_FOR);
        recent.map(|(_, reason)| reason.clone())
    }

    /// The leases that it has.
    pub(crate) fn leases(&self) -> Vec<Arc<PartitionLease>> {
        self.seen().leases.clone()
    }

    /// Where its partitions stand, with their ends as far as they are known.
    pub(crate) fn partitions(&self) -> Vec<PartitionStatus> {
        self.leases().iter().map(|lease| self.status_of(lease)).collect()
    }

    fn status_of(&self, lease: &PartitionLease) -> PartitionStatus {
        // In this order, so that the lag is never below zero: the watermark only grows.
        let watermark = lease.watermark();
        let end = lease.end().max(watermark);
        let stands_for = lease.stands_for();
        let blocker = self.blocker(lease).filter(|_| lease.is_alive());
        PartitionStatus {
            topic: lease.partition.topic.to_string(),
            partition: lease.partition.partition,
            watermark,
            end,
            lag: end - watermark,
            in_flight: lease.in_flight() as u64,
            oldest_in_flight_ms: blocker.as_ref().map_or(0, |blocker| blocker.age.as_millis() as u64),
            blocked_by: blocker.filter(|_| stands_for >= BLOCKS_AFTER).map(|blocker| blocker.record),
            stalled: lease.standing.reason(),
        }
    }

    fn seen(&self) -> parking_lot::MutexGuard<'_, ShardState> {
        self.seen.lock()
    }
}
