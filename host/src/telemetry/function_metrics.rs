//! The figures of one function on this host. Stages count per chunk, never per record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::usage::UsageCounters;
use crate::model::outcome::FaultClass;
use crate::model::status::FunctionCounters;

/// The label of a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, prometheus_client::encoding::EncodeLabelSet)]
pub struct FaultLabel {
    /// The stable name of the class.
    pub class: &'static str,
}

/// Counters, gauges and histograms of one function.
#[derive(Debug)]
pub struct FunctionMetrics {
    /// Records taken from Kafka.
    pub received: Counter,
    /// Records that a filter kept from the guest.
    pub filtered: Counter,
    /// Records whose invocation succeeded.
    pub succeeded: Counter,
    /// Events acknowledged by output topics.
    pub emitted: Counter,
    /// Attempts that failed and are tried again.
    pub retried: Counter,
    /// Records given up.
    pub dead_lettered: Counter,
    /// Failed attempts by class.
    pub faults: Family<FaultLabel, Counter>,
    /// Instances started.
    pub cold_starts: Counter,
    /// Calls of an instance that was used before.
    pub hot_starts: Counter,
    /// Seconds from wanting an instance to having a new one, without emulation.
    pub cold_start_seconds: Histogram,
    /// Seconds of one call of the guest.
    pub call_seconds: Histogram,
    /// Instances that exist now.
    pub instances: Gauge,
    /// The largest linear memory of an instance, in bytes.
    pub memory_high_water_bytes: Gauge,
    /// Offset commits that Kafka confirmed.
    pub commits: Counter,
    /// Transactions that did not go through; their outcomes are committed by a later one.
    pub aborts: Counter,
    /// Bytes of guest log lines dropped because of `limits.logs`.
    pub log_bytes_dropped: Counter,
    /// Messages written, by topic: events and dead letters.
    written: Mutex<BTreeMap<Arc<str>, u64>>,
    /// What its calls used.
    pub usage: UsageCounters,
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
    /// Counts one failed attempt.
    pub fn count_fault(&self, class: FaultClass) {
        self.faults.get_or_create(&FaultLabel { class: class.as_str() }).inc();
    }

    /// Counts messages that Kafka has, by topic.
    pub fn count_written(&self, topic: &Arc<str>, messages: u64) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        match written.get_mut(topic) {
            Some(count) => *count += messages,
            None => drop(written.insert(topic.clone(), messages)),
        }
    }

    /// Messages that Kafka has, by topic.
    pub fn written(&self) -> BTreeMap<Arc<str>, u64> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The counters that the status shows.
    pub fn counters(&self) -> FunctionCounters {
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
