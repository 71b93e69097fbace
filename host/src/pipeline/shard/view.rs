//! What others see of a shard: its partitions, and what is wrong with it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::kafka::consumer::Consumer;
use crate::model::lease::Lease;
use crate::model::status::PartitionStatus;
use crate::pipeline::watchdog::Standstill;

/// How long a trouble that passes by itself is shown.
const TROUBLE_SHOWN_FOR: Duration = Duration::from_secs(10);

/// What others see of a shard, also while its consumer is replaced.
#[derive(Debug, Default)]
pub struct ShardView {
    consumer: Mutex<Weak<Consumer>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    has_joined: bool,
    leases: Vec<Arc<Lease>>,
    passing: Option<(std::time::Instant, String)>,
    unavailable: Option<String>,
    standstill: Option<Standstill>,
    fatal: Option<String>,
}

impl ShardView {
    /// From now on shows the shard of `consumer`, which has not joined yet. What was noted before stays until it is mended.
    pub fn follow(&self, consumer: &Arc<Consumer>) {
        *self.consumer.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(consumer);
        let mut seen = self.seen();
        seen.has_joined = false;
        seen.leases.clear();
    }

    /// Notes something that a person should know.
    pub fn note_trouble(&self, reason: String, fatal: bool) {
        let mut seen = self.seen();
        if fatal {
            tracing::error!(%reason, "a shard can't go on");
            seen.fatal = Some(reason);
        } else {
            tracing::debug!(%reason, "passing trouble");
            seen.passing = Some((std::time::Instant::now(), reason));
        }
    }

    /// Notes that a topic can't be read, until partitions are assigned again.
    pub(super) fn note_unavailable(&self, reason: String) {
        let mut seen = self.seen();
        if seen.unavailable.as_ref() != Some(&reason) {
            tracing::error!(%reason, "a topic of the function can't be read");
            seen.unavailable = Some(reason);
        }
    }

    pub(super) fn show_standstill(&self, found: Option<Standstill>) {
        let mut seen = self.seen();
        match (&seen.standstill, &found) {
            (None, Some(found)) if found.starves => {
                tracing::error!(reason = found.reason, "a partition stands still; its consumer is replaced");
            }
            (None, Some(found)) => tracing::error!(reason = found.reason, "a partition stands still"),
            (Some(_), None) => tracing::info!("every partition moves again"),
            _ => {}
        }
        seen.standstill = found;
    }

    pub(super) fn note_available(&self) {
        self.seen().unavailable = None;
    }

    pub(super) fn show(&self, leases: &[Arc<Lease>]) {
        let mut seen = self.seen();
        seen.has_joined = true;
        seen.leases = leases.to_vec();
    }

    /// Whether partitions were assigned, or it is known that there are none for this host.
    pub fn has_joined(&self) -> bool {
        self.seen().has_joined
    }

    /// Why it can't go on, by itself or until somebody mends what it reads.
    pub fn stalled(&self) -> Option<String> {
        let seen = self.seen();
        let standstill = seen.standstill.as_ref().map(|standstill| standstill.reason.clone());
        seen.fatal.clone().or_else(|| seen.unavailable.clone()).or(standstill)
    }

    /// What went wrong a moment ago.
    pub fn passing(&self) -> Option<String> {
        let seen = self.seen();
        let recent = seen.passing.as_ref().filter(|(at, _)| at.elapsed() < TROUBLE_SHOWN_FOR);
        recent.map(|(_, reason)| reason.clone())
    }

    /// The partitions. Asks Kafka for their ends: blocks.
    pub fn partitions(&self) -> Vec<PartitionStatus> {
        let leases = self.seen().leases.clone();
        let consumer = self.consumer.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let mut kafka_answers = true;
        let status = leases.iter().map(|lease| {
            if kafka_answers && let Some(consumer) = &consumer {
                match consumer.range(&lease.partition) {
                    Ok((_, end)) => lease.raise_end(end),
                    Err(_) => kafka_answers = false,
                }
            }
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
        });
        status.collect()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
