//! What others see of a shard. Reading it asks nobody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::lease::Lease;
use crate::model::status::PartitionStatus;

/// How long a trouble that passes by itself is shown.
const TROUBLE_SHOWN_FOR: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub struct ShardView {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    has_joined: bool,
    leases: Vec<Arc<Lease>>,
    passing: Option<(Instant, String)>,
    fatal: Option<String>,
}

impl ShardView {
    /// Notes something that a person should know.
    pub fn note_trouble(&self, reason: String, fatal: bool) {
        let mut seen = self.seen();
        if fatal {
            tracing::error!(%reason, "a shard can't go on");
            seen.fatal = Some(reason);
        } else {
            tracing::debug!(%reason, "passing trouble");
            seen.passing = Some((Instant::now(), reason));
        }
    }

    /// Shows the partitions that it has.
    pub fn show(&self, leases: &[Arc<Lease>]) {
        let mut seen = self.seen();
        seen.has_joined = true;
        seen.leases = leases.to_vec();
    }

    /// Whether partitions were assigned, or it is known that there are none for this host.
    pub fn has_joined(&self) -> bool {
        self.seen().has_joined
    }

    /// Why it can't go on.
    pub fn fatal(&self) -> Option<String> {
        self.seen().fatal.clone()
    }

    /// What went wrong a moment ago.
    pub fn passing(&self) -> Option<String> {
        let seen = self.seen();
        let recent = seen.passing.as_ref().filter(|(at, _)| at.elapsed() < TROUBLE_SHOWN_FOR);
        recent.map(|(_, reason)| reason.clone())
    }

    /// The leases that it has.
    pub fn leases(&self) -> Vec<Arc<Lease>> {
        self.seen().leases.clone()
    }

    /// Where its partitions stand, with their ends as far as they are known.
    pub fn partitions(&self) -> Vec<PartitionStatus> {
        self.leases().iter().map(|lease| status_of(lease)).collect()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status_of(lease: &Lease) -> PartitionStatus {
    // In this order, so that the lag is never below zero: the watermark only grows.
    let watermark = lease.watermark();
    let end = lease.end().max(watermark);
    PartitionStatus {
        topic: lease.partition.topic.to_string(),
        partition: lease.partition.partition,
        watermark,
        end,
        lag: end - watermark,
        in_flight: lease.in_flight() as u64,
    }
}
