//! Which figures are shown, and under which names. A name once given stays.

use std::fmt::Error;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::model::outcome::FaultClass;
use crate::model::status::FunctionStatus;
use crate::telemetry::exposition::FunctionLabels;
use crate::telemetry::function_metrics::{FaultLabel, FunctionMetrics};
use crate::telemetry::otlp::{ExportCounters, OtlpSignal};
use crate::telemetry::usage::UsageAmounts;

struct MetricFamily {
    name: &'static str,
    help: &'static str,
    of: fn(&FunctionMetrics) -> &dyn EncodeMetric,
}

const FAMILIES: &[MetricFamily] = &[
    MetricFamily { name: "records_received", help: "Records taken from Kafka", of: |function| &function.received },
    MetricFamily {
        name: "records_filtered",
        help: "Records that a filter kept away",
        of: |function| &function.filtered,
    },
    MetricFamily {
        name: "records_succeeded",
        help: "Records whose invocation succeeded",
        of: |function| &function.succeeded,
    },
    MetricFamily {
        name: "records_retried",
        help: "Failed attempts that are tried again",
        of: |function| &function.retried,
    },
    MetricFamily {
        name: "records_dead_lettered",
        help: "Records dead-lettered",
        of: |function| &function.dead_lettered,
    },
    MetricFamily {
        name: "events_emitted",
        help: "Events that output topics acknowledged",
        of: |function| &function.emitted,
    },
    MetricFamily { name: "commits", help: "Offset commits that Kafka confirmed", of: |function| &function.commits },
    MetricFamily { name: "aborts", help: "Transactions that did not go through", of: |function| &function.aborts },
    MetricFamily { name: "cold_starts", help: "Instances started", of: |function| &function.cold_starts },
    MetricFamily {
        name: "hot_starts",
        help: "Calls of an instance that was used before",
        of: |function| &function.hot_starts,
    },
    MetricFamily {
        name: "recycled_instances",
        help: "Instances that ran out of memory which earlier calls had kept, and were replaced",
        of: |function| &function.recycled_instances,
    },
    MetricFamily {
        name: "cold_start_duration_seconds",
        help: "Time from wanting an instance to having a new one, without emulation",
        of: |function| &function.cold_start_seconds,
    },
    MetricFamily {
        name: "call_duration_seconds",
        help: "Time of one call of the guest",
        of: |function| &function.call_seconds,
    },
    MetricFamily { name: "instances", help: "Instances that exist now", of: |function| &function.instances },
    MetricFamily {
        name: "memory_high_water_bytes",
        help: "The largest linear memory of an instance",
        of: |function| &function.memory_high_water_bytes,
    },
    MetricFamily {
        name: "log_dropped_bytes",
        help: "Guest log beyond limits.logs",
        of: |function| &function.log_bytes_dropped,
    },
];

pub(crate) fn encode_functions(encoder: &mut DescriptorEncoder<'_>, functions: &FunctionLabels) -> Result<(), Error> {
    for MetricFamily { name, help, of } in FAMILIES {
        // Without a function nothing can be said, not even of which type it would be.
        let Some(first) = functions.values().next() else { return Ok(()) };
        let mut family = encoder.encode_descriptor(name, help, None, of(first).metric_type())?;
        for (function, metrics) in functions {
            let labels = [("function", function.as_str())];
            of(metrics).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

pub(crate) fn encode_faults(encoder: &mut DescriptorEncoder<'_>, functions: &FunctionLabels) -> Result<(), Error> {
    let help = "Failed attempts by class";
    let mut family = encoder.encode_descriptor("faults", help, None, MetricType::Counter)?;
    for (function, metrics) in functions {
        for class in FaultClass::ALL.iter().map(|class| class.as_str()) {
            if let Some(counter) = metrics.faults.get(&FaultLabel { class }) {
                let labels = [("function", function.as_str()), ("class", class)];
                counter.encode(family.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

pub(crate) fn encode_topics(encoder: &mut DescriptorEncoder<'_>, functions: &FunctionLabels) -> Result<(), Error> {
    let help = "Messages that Kafka has acknowledged: events and dead letters";
    let mut family = encoder.encode_descriptor("messages_written", help, None, MetricType::Counter)?;
    for (function, metrics) in functions {
        for (topic, count) in metrics.written() {
            let labels = [("function", function.as_str()), ("topic", &topic)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// What calls used, in units that people reckon with.
struct UsageMetrics {
    name: &'static str,
    help: &'static str,
    of: fn(&UsageAmounts) -> f64,
}

const USED: &[UsageMetrics] = &[
    UsageMetrics {
        name: "invocations",
        help: "Records that were handed to the guest, each attempt for itself",
        of: |used| used.invocations as f64,
    },
    UsageMetrics {
        name: "calls",
        help: "Calls of the guest, which may hold many records",
        of: |used| used.calls as f64,
    },
    UsageMetrics {
        name: "guest_cpu_seconds",
        help: "Time in which the guest had a processor",
        of: UsageAmounts::cpu_seconds,
    },
    UsageMetrics {
        name: "guest_memory_gigabyte_seconds",
        help: "Linear memory of instances in calls, times the calls' time",
        of: UsageAmounts::gigabyte_seconds,
    },
    UsageMetrics { name: "guest_received_bytes", help: "Bytes handed to the guest", of: |used| used.bytes_in as f64 },
    UsageMetrics { name: "guest_sent_bytes", help: "Bytes that the guest answered", of: |used| used.bytes_out as f64 },
];

pub(crate) fn encode_usage(encoder: &mut DescriptorEncoder<'_>, functions: &FunctionLabels) -> Result<(), Error> {
    for UsageMetrics { name, help, of } in USED {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (function, metrics) in functions {
            let labels = [("function", function.as_str())];
            ConstCounter::new(of(&metrics.usage.amounts())).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

pub(crate) fn encode_partitions(encoder: &mut DescriptorEncoder<'_>, statuses: &[FunctionStatus]) -> Result<(), Error> {
    let lag = "Records of the partition that are not finished";
    let mut family = encoder.encode_descriptor("partition_lag_records", lag, None, MetricType::Gauge)?;
    for (labels, partition) in partitions(statuses) {
        ConstGauge::new(partition.lag).encode(family.encode_family(&labels)?)?;
    }
    let watermark = "Every record below this offset is finished";
    let mut family = encoder.encode_descriptor("partition_watermark_offset", watermark, None, MetricType::Gauge)?;
    for (labels, partition) in partitions(statuses) {
        ConstGauge::new(partition.watermark).encode(family.encode_family(&labels)?)?;
    }
    let in_flight = "Records queued, running or parked, or finished out of order";
    let mut family = encoder.encode_descriptor("partition_in_flight_records", in_flight, None, MetricType::Gauge)?;
    for (labels, partition) in partitions(statuses) {
        let in_flight = i64::try_from(partition.in_flight).unwrap_or(i64::MAX);
        ConstGauge::new(in_flight).encode(family.encode_family(&labels)?)?;
    }
    let oldest = "Time since the oldest record was taken that is not finished";
    let mut family =
        encoder.encode_descriptor("partition_oldest_in_flight_seconds", oldest, None, MetricType::Gauge)?;
    for (labels, partition) in partitions(statuses) {
        let seconds = partition.oldest_in_flight_ms as f64 / 1000.0;
        ConstGauge::new(seconds).encode(family.encode_family(&labels)?)?;
    }
    let stalled = "1 while the partition makes no progress although it has records";
    let mut family = encoder.encode_descriptor("partition_stalled", stalled, None, MetricType::Gauge)?;
    for (labels, partition) in partitions(statuses) {
        ConstGauge::new(i64::from(partition.stalled.is_some())).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

pub(crate) fn encode_telemetry(
    encoder: &mut DescriptorEncoder<'_>,
    telemetry: &[(OtlpSignal, ExportCounters)],
) -> Result<(), Error> {
    if telemetry.is_empty() {
        return Ok(());
    }
    let sent = "Spans, points and lines that the OpenTelemetry collector took";
    let mut family = encoder.encode_descriptor("telemetry_sent", sent, None, MetricType::Counter)?;
    for (signal, counts) in telemetry {
        counts.sent.encode(family.encode_family(&[("signal", signal.as_str())])?)?;
    }
    let dropped = "Spans, points and lines that were not sent, or not taken";
    let mut family = encoder.encode_descriptor("telemetry_dropped", dropped, None, MetricType::Counter)?;
    for (signal, counts) in telemetry {
        counts.dropped.encode(family.encode_family(&[("signal", signal.as_str())])?)?;
    }
    Ok(())
}

type PartitionLabels<'a> = [(&'static str, std::borrow::Cow<'a, str>); 3];

fn partitions(
    statuses: &[FunctionStatus],
) -> impl Iterator<Item = (PartitionLabels<'_>, &crate::model::status::PartitionStatus)> {
    statuses.iter().flat_map(|status| {
        status.partitions.iter().map(move |partition| {
            let labels = [
                ("function", status.name.as_str().into()),
                ("topic", partition.topic.as_str().into()),
                ("partition", partition.partition.to_string().into()),
            ];
            (labels, partition)
        })
    })
}
