//! The figures of every function, written in Prometheus' text format.
//!
//! A function's figures exist from when its first stage asks for them until the function is deleted. Labels are a
//! function's name, a fault's class and a partition's place: never anything of a record.

mod families;

use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text};
use prometheus_client::registry::Registry;

use crate::model::ids::FunctionName;
use crate::model::status::FunctionStatus;
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::telemetry::otlp::{ExportCounters, OtlpSignal};
use crate::telemetry::usage::UsageAmounts;

pub(crate) use prometheus_text::CONTENT_TYPE;

/// What a function's figures are filed under, in the order in which they are written.
type FunctionLabels = BTreeMap<FunctionName, Arc<FunctionMetrics>>;

/// A function that was deleted, with its figures.
type DeletedFunction = (FunctionName, Arc<FunctionMetrics>);

/// The figures of this host's functions. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostMetrics {
    functions: Arc<RwLock<FunctionLabels>>,
    /// Of deleted functions, until someone looks: what they used is not forgotten.
    gone: Arc<Mutex<Vec<DeletedFunction>>>,
    /// Of what is sent to a collector.
    telemetry: Arc<[(OtlpSignal, ExportCounters)]>,
}

impl HostMetrics {
    /// Shows what became of `telemetry` too.
    pub(crate) fn with_telemetry(self, telemetry: Vec<(OtlpSignal, ExportCounters)>) -> Self {
        Self { telemetry: telemetry.into(), ..self }
    }

    /// The figures of `name`, new when no one asked before.
    pub(crate) fn function(&self, name: &FunctionName) -> Arc<FunctionMetrics> {
        if let Some(metrics) = self.functions.read().get(name) {
            return Arc::clone(metrics);
        }
        let mut functions = self.functions.write();
        Arc::clone(functions.entry(name.clone()).or_default())
    }

    /// Forgets a deleted function. Who still holds its figures counts for no one.
    pub(crate) fn remove(&self, name: &FunctionName) {
        let removed = self.functions.write().remove(name);
        let gone = removed.map(|metrics| (name.clone(), metrics));
        self.gone.lock().extend(gone);
    }

    /// What every function has used since the last time that someone asked so, deleted ones too.
    pub(crate) fn take_usage(&self) -> Vec<(FunctionName, UsageAmounts)> {
        let gone = std::mem::take(&mut *self.gone.lock());
        let functions = self.functions.read().clone();
        let all = functions.into_iter().chain(gone);
        all.map(|(name, metrics)| (name, metrics.usage.take())).filter(|(_, used)| !used.is_zero()).collect()
    }

    /// All figures as text. Partitions are those of `statuses`: what is known elsewhere is not counted twice.
    pub(crate) fn render(&self, statuses: Vec<FunctionStatus>) -> String {
        let functions = self.functions.read().clone();
        let mut registry = Registry::with_prefix("millstream");
        let telemetry = self.telemetry.clone();
        registry.register_collector(Box::new(MetricsSnapshot { functions, statuses, telemetry }));
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = prometheus_text::encode(&mut text, &registry);
        text
    }
}

#[derive(Debug)]
struct MetricsSnapshot {
    functions: FunctionLabels,
    statuses: Vec<FunctionStatus>,
    telemetry: Arc<[(OtlpSignal, ExportCounters)]>,
}

impl Collector for MetricsSnapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        families::encode_functions(&mut encoder, &self.functions)?;
        families::encode_faults(&mut encoder, &self.functions)?;
        families::encode_topics(&mut encoder, &self.functions)?;
        families::encode_usage(&mut encoder, &self.functions)?;
        families::encode_partitions(&mut encoder, &self.statuses)?;
        families::encode_telemetry(&mut encoder, &self.telemetry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::FaultClass;
    use crate::model::status::{FunctionCounters, FunctionState, PartitionStatus};

    fn name(name: &str) -> FunctionName {
        FunctionName::new(name).unwrap()
    }

    #[test]
    fn figures_are_shown_by_function_until_it_is_deleted() {
        let metrics = HostMetrics::default();
        metrics.function(&name("mill")).received.inc_by(7);
        metrics.function(&name("mill")).count_fault(FaultClass::Trap);
        metrics.function(&name("mill")).call_seconds.observe(0.5);
        metrics.function(&name("other")).received.inc();
        metrics.function(&name("mill")).count_written(&"out".into(), 3);
        let second = std::time::Duration::from_secs(1);
        metrics.function(&name("mill")).usage.count(5, 1_000_000_000, second, second / 4, 10, 20);
        let text = metrics.render(Vec::new());
        for line in [
            "# TYPE millstream_records_received_total counter",
            "millstream_records_received_total{function=\"mill\"} 7",
            "millstream_records_received_total{function=\"other\"} 1",
            "millstream_faults_total{function=\"mill\",class=\"trap\"} 1",
            "millstream_messages_written_total{function=\"mill\",topic=\"out\"} 3",
            "millstream_invocations_total{function=\"mill\"} 5.0",
            "millstream_guest_cpu_seconds_total{function=\"mill\"} 0.25",
            "millstream_guest_received_bytes_total{function=\"mill\"} 10.0",
            "millstream_call_duration_seconds_count{function=\"mill\"} 1",
            "millstream_call_duration_seconds_sum{function=\"mill\"} 0.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }

        metrics.remove(&name("mill"));
        assert!(!metrics.render(Vec::new()).contains("mill\""));
    }

    #[test]
    fn each_name_has_one_description() {
        let metrics = HostMetrics::default();
        for function in ["a", "b", "c"] {
            metrics.function(&name(function)).count_fault(FaultClass::Timeout);
        }
        let text = metrics.render(Vec::new());
        let mut described: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let all = described.len();
        described.sort_unstable();
        described.dedup();
        assert_eq!(described.len(), all);
    }

    #[test]
    fn what_became_of_telemetry_is_shown_where_there_is_any() {
        let counts = ExportCounters::default();
        counts.dropped.inc_by(3);
        let text = HostMetrics::default().with_telemetry(vec![(OtlpSignal::Traces, counts)]).render(Vec::new());
        assert!(text.contains("\nmillstream_telemetry_dropped_total{signal=\"traces\"} 3\n"), "{text}");
        assert!(text.contains("\nmillstream_telemetry_sent_total{signal=\"traces\"} 0\n"), "{text}");
        assert!(!HostMetrics::default().render(Vec::new()).contains("telemetry"));
    }

    #[test]
    fn partitions_come_from_the_status() {
        let place = |partition, lag| PartitionStatus {
            topic: "in".to_owned(),
            partition,
            watermark: 3,
            end: 3 + lag,
            lag,
            in_flight: 2,
            oldest_in_flight_ms: 1500,
            blocked_by: None,
            stalled: (lag > 0).then(|| "it stands still".to_owned()),
        };
        let status = FunctionStatus {
            name: "mill".to_owned(),
            revision: 1,
            state: FunctionState::Running,
            reason: None,
            partitions: vec![place(0, 4), place(1, 0)],
            counters: FunctionCounters::default(),
            shadow: None,
        };
        let text = HostMetrics::default().render(vec![status]);
        for line in [
            "millstream_partition_lag_records{function=\"mill\",topic=\"in\",partition=\"0\"} 4",
            "millstream_partition_oldest_in_flight_seconds{function=\"mill\",topic=\"in\",partition=\"0\"} 1.5",
            "millstream_partition_watermark_offset{function=\"mill\",topic=\"in\",partition=\"0\"} 3",
            "millstream_partition_stalled{function=\"mill\",topic=\"in\",partition=\"0\"} 1",
            "millstream_partition_stalled{function=\"mill\",topic=\"in\",partition=\"1\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
