//! Settings that are fine one by one but not together.

use std::time::Duration;

use crate::config::quantity::{format_duration, format_size};
use crate::config::section::ReadReport;
use crate::model::function::Manifest;
use crate::model::inputs::InputTopics;

/// librdkafka's `max.poll.interval.ms` when the manifest does not set it.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(300);

/// Reports every contradiction in `manifest`.
pub(crate) fn refuse(manifest: &Manifest, report: &ReadReport) {
    refuse_loops(manifest, report);
    refuse_limits(manifest, report);
    refuse_times(manifest, report);
}

/// What a function writes must not make it run again.
fn refuse_loops(manifest: &Manifest, report: &ReadReport) {
    // A pattern that cannot be was refused before, and matches nothing.
    let inputs = InputTopics::of(manifest).ok();
    let is_input = |topic: &str| inputs.as_ref().is_some_and(|inputs| inputs.has(topic));
    let dead_letter_topic = &manifest.dead_letter_topic;
    if is_input(dead_letter_topic) {
        report.push(
            "dead_letter_topic",
            format!("\"{dead_letter_topic}\" is an input too, so a dead letter would run again: choose another topic"),
        );
    }
    for (name, output) in &manifest.outputs {
        if is_input(&output.topic) {
            report.push(
                format!("outputs.{name}"),
                format!(
                    "\"{}\" is an input too, so the function would feed itself: choose another topic",
                    output.topic
                ),
            );
        }
    }
}

fn refuse_limits(manifest: &Manifest, report: &ReadReport) {
    let (limits, delivery) = (&manifest.limits, &manifest.delivery);
    if limits.output > limits.memory {
        report.push(
            "limits.output",
            format!(
                "{} is more than limits.memory of {}, where it must fit: lower it or raise limits.memory",
                format_size(limits.output),
                format_size(limits.memory)
            ),
        );
    }
    if limits.output > delivery.pending {
        report.push(
            "delivery.pending",
            format!(
                "{} is less than limits.output of {}, so one outcome may never fit: raise it or lower limits.output",
                format_size(delivery.pending),
                format_size(limits.output)
            ),
        );
    }
    let lanes = manifest.concurrency.saturating_mul(manifest.shards);
    if manifest.instances.min > lanes {
        report.push(
            "instances.min",
            format!(
                "{} is more than the {lanes} calls that run at once (concurrency × shards): lower it or raise concurrency",
                manifest.instances.min
            ),
        );
    }
}

fn refuse_times(manifest: &Manifest, report: &ReadReport) {
    let (retry, delivery) = (&manifest.retry, &manifest.delivery);
    if retry.backoff > retry.backoff_max {
        report.push(
            "retry.backoff_max",
            format!(
                "{} is less than retry.backoff of {}: raise it or lower retry.backoff",
                format_duration(retry.backoff_max),
                format_duration(retry.backoff)
            ),
        );
    }
    let max_poll = manifest.kafka.get("max.poll.interval.ms").and_then(|text| text.parse().ok());
    let max_poll = max_poll.map_or(MAX_POLL_INTERVAL, Duration::from_millis);
    if delivery.drain_timeout >= max_poll {
        report.push(
            "delivery.drain_timeout",
            format!(
                "{} is not less than max.poll.interval.ms of {}, so the group would expel the member while it drains: \
                 lower it or raise \"max.poll.interval.ms\" under [kafka]",
                format_duration(delivery.drain_timeout),
                format_duration(max_poll)
            ),
        );
    }
}
