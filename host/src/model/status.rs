//! What a function is doing on this host, as the API and the CLI show it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::ids::{FunctionName, RevisionNumber};

/// The state of a function on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FunctionState {
    /// Joining its group, or compiling.
    Starting,
    /// Its partitions are assigned and records are taken.
    Running,
    /// Asked to take no records.
    Paused,
    /// A partition with lag makes no progress; the status says what blocks it.
    Stalled,
    /// It cannot run; the status says why.
    Failed,
}

/// A function's status on this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FunctionStatus {
    /// The function's name.
    pub(crate) name: String,
    /// The live revision.
    pub(crate) revision: u64,
    /// What it is doing.
    pub(crate) state: FunctionState,
    /// Why, when it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The partitions that this host has.
    pub(crate) partitions: Vec<PartitionStatus>,
    /// Counted by this host since it started.
    pub(crate) counters: FunctionCounters,
    /// The revision that runs beside the live one, its outputs fenced off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shadow: Option<u64>,
}

/// Where one partition stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct PartitionStatus {
    /// The topic.
    pub(crate) topic: String,
    /// The partition.
    pub(crate) partition: i32,
    /// Every offset below is finished.
    pub(crate) watermark: i64,
    /// The partition's end.
    pub(crate) end: i64,
    /// `end − watermark`.
    pub(crate) lag: i64,
    /// Records queued, running or parked, or finished out of order.
    pub(crate) in_flight: u64,
    /// Milliseconds since the oldest record was taken that is not finished; 0 when there is none.
    #[serde(default)]
    pub(crate) oldest_in_flight_ms: u64,
    /// The record that holds the watermark, when it has done so for a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) blocked_by: Option<BlockedBy>,
    /// Why the partition makes no progress, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stalled: Option<String>,
}

/// The lowest record of a partition that is not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct BlockedBy {
    /// Its offset.
    pub(crate) offset: i64,
    /// Its key, where it is a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Its key in base64, where it is not a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_base64: Option<String>,
    /// What it waits for.
    #[serde(flatten)]
    pub(crate) why: WaitReason,
}

/// What the lowest unfinished record waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "why", rename_all = "snake_case")]
pub(crate) enum WaitReason {
    /// The guest has it.
    Running,
    /// No worker was free.
    Queued,
    /// It waits for its next attempt.
    Retry {
        /// The number of that attempt.
        attempt: u32,
        /// How many there are in all.
        max_attempts: u32,
        /// Until then.
        in_ms: u64,
    },
    /// Kafka has not acknowledged what the record led to, or the commit.
    Kafka,
}

/// A function's counters on one host since the host started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FunctionCounters {
    /// Records taken from Kafka.
    pub(crate) received: u64,
    /// Records that a filter kept from the guest.
    pub(crate) filtered: u64,
    /// Records whose invocation succeeded.
    pub(crate) succeeded: u64,
    /// Events acknowledged by output topics.
    pub(crate) emitted: u64,
    /// Attempts that failed and were tried again.
    pub(crate) retried: u64,
    /// Records dead-lettered.
    pub(crate) dead_lettered: u64,
    /// Instances started.
    pub(crate) cold_starts: u64,
    /// Calls of an instance that was used before.
    pub(crate) hot_starts: u64,
}

/// Something that knows what functions are doing; the supervisor does, the API only asks.
pub(crate) trait FunctionObserver: Send + Sync {
    /// The status of `name`, or nothing when this host has no such function. Asks Kafka where its partitions end.
    fn status<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Option<FunctionStatus>>;

    /// The statuses of all functions; Kafka is asked once for all of them.
    fn statuses(&self) -> BoxFuture<'_, Vec<FunctionStatus>>;

    /// Which revision `name` is at, what it is doing, and why. Asks no one.
    fn state(&self, name: &FunctionName) -> Option<(RevisionNumber, FunctionState, Option<String>)>;

    /// For how long Kafka has not answered this host, when it does not. Asks no one.
    fn kafka_is_silent_for(&self) -> Option<Duration>;
}
