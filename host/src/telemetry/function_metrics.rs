//! The figures of one function on this host. Stages count per chunk, never per record.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::model::outcome::FaultClass;
use crate::model::status::FunctionCounters;
use crate::telemetry::usage::UsageCounters;

/// The label of a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, prometheus_client::encoding::EncodeLabelSet)]
pub(crate) struct FaultLabel {
    /// The stable name of the class.
    pub(crate) class: &'static str,
}

/// Counters, gauges and histograms of one function.
#[derive(Debug)]
pub(crate) struct FunctionMetrics {
    pub(crate) received: Counter,
    /// Records that a filter kept from the guest.
    pub(crate) filtered: Counter,
    pub(crate) succeeded: Counter,
    /// Events acknowledged by output topics.
    pub(crate) emitted: Counter,
    /// Attempts that failed and are tried again.
    pub(crate) retried: Counter,
    pub(crate) dead_lettered: Counter,
    pub(crate) faults: Family<FaultLabel, Counter>,
    pub(crate) cold_starts: Counter,
    /// Calls of an instance that was used before.
    pub(crate) hot_starts: Counter,
    /// Instances that ran out of memory which earlier calls had kept; what they were called with ran in a fresh one.
    pub(crate) recycled_instances: Counter,
    /// Seconds from wanting an instance to having a new one, without emulation.
    pub(crate) cold_start_seconds: Histogram,
    /// Seconds of one call of the guest.
    pub(crate) call_seconds: Histogram,
    pub(crate) instances: Gauge,
    /// The largest linear memory of an instance, in bytes.
    pub(crate) memory_high_water_bytes: Gauge,
    /// Offset commits that Kafka confirmed.
    pub(crate) commits: Counter,
    /// Transactions that did not go through; their outcomes are committed by a later one.
    pub(crate) aborts: Counter,
    /// Bytes of guest log lines dropped because of `limits.logs`.
    pub(crate) log_bytes_dropped: Counter,
    /// Messages written, by topic: events and dead letters.
    written: Mutex<BTreeMap<Arc<str>, u64>>,
    pub(crate) usage: UsageCounters,
}

impl Default for FunctionMetrics {
    fn default() -> Self {
        Self {
            received: Counter::default(),
            filtered: Counter::default(),
            succeeded: Counter::default(),
            emitted: Counter::default(),
            retried: Counter::default(),
            dead_lettered: Counter::default(),
            faults: Family::default(),
            cold_starts: Counter::default(),
            hot_starts: Counter::default(),
            recycled_instances: Counter::default(),
            // 1 µs to 4 s, and 1 µs to 67 s.
            cold_start_seconds: Histogram::new(exponential_buckets(1e-6, 4.0, 12)),
            call_seconds: Histogram::new(exponential_buckets(1e-6, 4.0, 14)),
            instances: Gauge::default(),
            memory_high_water_bytes: Gauge::default(),
            commits: Counter::default(),
            aborts: Counter::default(),
            log_bytes_dropped: Counter::default(),
            written: Mutex::default(),
            usage: UsageCounters::default(),
        }
    }
}

impl FunctionMetrics {
    pub(crate) fn count_fault(&self, class: FaultClass) {
        self.faults.get_or_create(&FaultLabel { class: class.as_str() }).inc();
    }

    /// Counts messages that Kafka has, by topic.
    pub(crate) fn count_written(&self, topic: &Arc<str>, messages: u64) {
        let mut written = self.written.lock();
        match written.get_mut(topic) {
            Some(count) => *count += messages,
            None => drop(written.insert(topic.clone(), messages)),
        }
    }

    /// Messages that Kafka has, by topic.
    pub(crate) fn written(&self) -> BTreeMap<Arc<str>, u64> {
        self.written.lock().clone()
    }

    /// The counters that the status shows.
    pub(crate) fn counters(&self) -> FunctionCounters {
        FunctionCounters {
            received: self.received.get(),
            filtered: self.filtered.get(),
            succeeded: self.succeeded.get(),
            emitted: self.emitted.get(),
            retried: self.retried.get(),
            dead_lettered: self.dead_lettered.get(),
            cold_starts: self.cold_starts.get(),
            hot_starts: self.hot_starts.get(),
        }
    }
}
