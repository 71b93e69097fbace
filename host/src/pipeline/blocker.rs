//! The record that holds a partition's watermark, and what it waits for.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use millstream_flat::Record;

use crate::dispatch::board::Board;
use crate::dispatch::lanes::LaneWait;
use crate::model::lease::PartitionLease;
use crate::model::status::{BlockedBy, WaitReason};
use crate::model::work::RecordRef;

/// The lowest record of a partition that is not finished.
#[derive(Debug)]
pub(crate) struct BlockingRecord {
    /// Since it was taken from Kafka.
    pub(crate) age: Duration,
    pub(crate) record: BlockedBy,
}

impl BlockingRecord {
    /// The lowest unfinished record that was taken under `lease`.
    pub(crate) fn of(lease: &PartitionLease, board: &Board) -> Option<Self> {
        let oldest = lease.under_way.oldest(lease.watermark())?;
        let why = match &oldest.record {
            _ if lease.known() > oldest.offset => WaitReason::Kafka,
            // Anyone who works on a record holds it.
            None => WaitReason::Kafka,
            Some(record) => match board.wait_of(record) {
                Some(LaneWait::Retry { attempt, max_attempts, until }) => {
                    let wait = until.saturating_duration_since(Instant::now());
                    WaitReason::Retry { attempt, max_attempts, in_ms: wait.as_millis() as u64 }
                }
                Some(LaneWait::Turn) => WaitReason::Queued,
                None => WaitReason::Running,
            },
        };
        let (key, key_base64) = match oldest.record.as_ref().and_then(key_of) {
            None => (None, None),
            Some(bytes) => match String::from_utf8(bytes) {
                Ok(text) => (Some(text), None),
                Err(error) => (None, Some(BASE64_STANDARD.encode(error.as_bytes()))),
            },
        };
        let record = BlockedBy { offset: oldest.offset, key, key_base64, why };
        Some(Self { age: oldest.taken.elapsed(), record })
    }

    /// What blocks and what to do, as the end of a sentence that names the partition.
    pub(crate) fn explain(&self) -> String {
        let BlockedBy { offset, key, key_base64, why } = &self.record;
        let key = match (key, key_base64) {
            (Some(key), _) => format!(" (key {key:?})"),
            (None, Some(key)) => format!(" (key {key} in base64)"),
            (None, None) => String::new(),
        };
        let seconds = self.age.as_secs();
        let reason = match why {
            WaitReason::Running => "is in the guest; it ends by itself, at limits.timeout at the latest".to_owned(),
            WaitReason::Queued => "waits for a free worker; raise concurrency, or make the function quicker".to_owned(),
            WaitReason::Retry { attempt, max_attempts, in_ms } => format!(
                "waits {} s for attempt {attempt} of {max_attempts}; shorten [retry] or deploy what mends it",
                in_ms.div_ceil(1000)
            ),
            WaitReason::Kafka => {
                "is done, but Kafka has not taken what came of it; look at the output topics, the dead letter \
                           topic and the log"
                    .to_owned()
            }
        };
        format!("offset {offset}{key}, taken {seconds} s ago, {reason}")
    }
}

fn key_of(record: &RecordRef) -> Option<Vec<u8>> {
    Record::parse(record.flat(), "").ok()?.key().map(<[u8]>::to_vec)
}
