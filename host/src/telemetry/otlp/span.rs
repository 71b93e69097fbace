//! What a span says of an attempt, in the words of OpenTelemetry's semantic conventions for messaging, FaaS and CloudEvents.

use std::time::{SystemTime, UNIX_EPOCH};

use millstream_flat::Record;

use crate::model::function::Revision;
use crate::model::outcome::{CallTime, GuestFault};
use crate::model::trace_context::AttemptSpan;
use crate::model::work::RecordRef;
use crate::telemetry::otlp::wire::{
    CONSUMER, ERROR, HAS_IS_REMOTE, IS_REMOTE, KeyValue, SERVER, Span, Status, attribute,
};

/// The version of the conventions.
pub(crate) const SCHEMA: &str = "https://opentelemetry.io/schemas/1.42.0";

/// The most of a key, and of a fault's message, in bytes.
const LONGEST_KEY: usize = 256;
const LONGEST_MESSAGE: usize = 1024;

/// An attempt that has ended.
#[derive(Debug)]
pub(crate) struct FinishedSpan<'a> {
    pub(crate) record: &'a RecordRef,
    /// 1 for the first.
    pub(crate) attempt: u32,
    pub(crate) traced: &'a AttemptSpan,
    /// The call that it was made in, perhaps with others.
    pub(crate) call: CallTime,
    pub(crate) trigger: SpanTrigger,
    pub(crate) became: SpanOutcome<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanTrigger {
    Record,
    /// For someone who calls it over HTTP.
    Call,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SpanOutcome<'a> {
    Emitted,
    /// It failed, and another one follows.
    Retried(&'a GuestFault),
    /// It failed, and the record became a dead letter.
    GivenUp(&'a GuestFault),
    /// It failed, and the caller was informed.
    Answered(&'a GuestFault),
}

impl<'a> SpanOutcome<'a> {
    fn name(self) -> &'static str {
        match self {
            Self::Emitted => "emitted",
            Self::Retried(_) => "retry",
            Self::GivenUp(_) => "dead-letter",
            Self::Answered(_) => "answered",
        }
    }

    fn fault(self) -> Option<&'a GuestFault> {
        match self {
            Self::Emitted => None,
            Self::Retried(fault) | Self::GivenUp(fault) | Self::Answered(fault) => Some(fault),
        }
    }
}

/// What all spans of a revision say.
#[derive(Debug, Default)]
pub(crate) struct SpanAttributes {
    function: String,
    version: String,
    group: String,
}

impl SpanAttributes {
    pub(crate) fn of(revision: &Revision) -> Self {
        let name = &revision.manifest.name;
        Self { function: name.to_string(), version: revision.number.to_string(), group: name.group_id() }
    }

    /// The span of an attempt.
    pub(crate) fn span(&self, ended: &FinishedSpan<'_>) -> Span {
        let FinishedSpan { record, attempt, traced, call, trigger, became } = *ended;
        let mut attributes = Vec::with_capacity(24);
        attributes.push(attribute("faas.name", self.function.as_str()));
        attributes.push(attribute("faas.version", self.version.as_str()));
        attributes.push(attribute("faas.coldstart", call.is_cold));
        attributes.push(attribute("millstream.attempt", i64::from(attempt)));
        attributes.push(attribute("millstream.outcome", became.name()));
        let topic = &record.chunk.lease.partition.topic;
        let (name, kind) = match trigger {
            SpanTrigger::Record => {
                attributes.push(attribute("faas.trigger", "pubsub"));
                self.messaging(&mut attributes, record);
                (format!("process {topic}"), CONSUMER)
            }
            SpanTrigger::Call => {
                attributes.push(attribute("faas.trigger", "http"));
                (self.function.clone(), SERVER)
            }
        };
        if let Ok(event) = Record::parse(record.flat(), "") {
            content(&mut attributes, &event, trigger);
        }
        let status = became.fault().map(|fault| {
            attributes.push(attribute("error.type", fault.class.as_str()));
            Status { message: cut(&fault.message, LONGEST_MESSAGE).to_owned(), code: ERROR }
        });
        let start = nanos(call.started);
        let remote = traced.parent.map_or(0, |_| IS_REMOTE);
        Span {
            trace_id: traced.own.trace.to_be_bytes().into(),
            span_id: traced.own.span.to_be_bytes().into(),
            trace_state: traced.state.as_deref().unwrap_or_default().to_owned(),
            parent_span_id: traced.parent.map(|parent| parent.to_be_bytes().into()).unwrap_or_default(),
            flags: u32::from(traced.own.flags) | HAS_IS_REMOTE | remote,
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: start.saturating_add(u64::try_from(call.took.as_nanos()).unwrap_or(u64::MAX)),
            attributes,
            status,
        }
    }

    fn messaging(&self, attributes: &mut Vec<KeyValue>, record: &RecordRef) {
        let partition = &record.chunk.lease.partition;
        attributes.push(attribute("messaging.system", "kafka"));
        attributes.push(attribute("messaging.operation.type", "process"));
        attributes.push(attribute("messaging.operation.name", "process"));
        attributes.push(attribute("messaging.consumer.group.name", self.group.as_str()));
        attributes.push(attribute("messaging.destination.name", &*partition.topic));
        attributes.push(attribute("messaging.destination.partition.id", partition.partition.to_string()));
        attributes.push(attribute("messaging.kafka.offset", record.record().offset));
    }
}

/// What a record carries, but never its value.
fn content(attributes: &mut Vec<KeyValue>, event: &Record<'_>, trigger: SpanTrigger) {
    if trigger == SpanTrigger::Record {
        // A key that is not a text has no form that everyone would write it in.
        if let Some(key) = event.key().and_then(|key| std::str::from_utf8(key).ok()) {
            attributes.push(attribute("messaging.kafka.message.key", cut(key, LONGEST_KEY)));
        }
        match event.data() {
            Some(data) => {
                let size = i64::try_from(data.len()).unwrap_or(i64::MAX);
                attributes.push(attribute("messaging.message.body.size", size));
            }
            None => attributes.push(attribute("messaging.kafka.message.tombstone", true)),
        }
    }
    if event.is_cloudevent() {
        attributes.push(attribute("cloudevents.event_id", cut(&event.id(), LONGEST_KEY)));
        attributes.push(attribute("cloudevents.event_source", cut(&event.source(), LONGEST_KEY)));
        attributes.push(attribute("cloudevents.event_type", cut(event.type_(), LONGEST_KEY)));
    }
}

/// The first `most` bytes of a text, or one less where that would tear a letter.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn nanos(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use millstream_flat::{Attributes, RecordFields, write_record};

    use super::*;
    use crate::model::function::tests_support::revision;
    use crate::model::lease::PartitionLease;
    use crate::model::outcome::FaultClass;
    use crate::model::position::TopicPartition;
    use crate::model::trace_context::SpanContext;
    use crate::model::work::{ChunkRecord, RecordChunk};
    use crate::telemetry::otlp::wire::Value;

    fn record() -> RecordRef {
        let attributes = Attributes { id: "1", source: "/s", type_: "t", ..Default::default() };
        let fields = RecordFields {
            topic: "bids",
            partition: 2,
            offset: 7,
            key: Some(b"lamp"),
            data: Some(b"{}"),
            attributes: Some(attributes),
            ..Default::default()
        };
        let mut arena = Vec::new();
        write_record(&mut arena, &fields);
        let flat = 0..arena.len() as u32;
        let one = ChunkRecord {
            from: 7,
            offset: 7,
            flat,
            original_value: None,
            original_headers: None,
            key_hash: None,
            undecodable: None,
        };
        let lease = Arc::new(PartitionLease::new(TopicPartition::new("bids", 2), 0, 7));
        RecordRef { chunk: Arc::new(RecordChunk { lease, revision: revision(), arena, records: vec![one] }), index: 0 }
    }

    fn span(trigger: SpanTrigger, became: SpanOutcome<'_>) -> Span {
        let traced = AttemptSpan { own: SpanContext { trace: 1, span: 2, flags: 1 }, parent: Some(3), state: None };
        let started = UNIX_EPOCH + Duration::from_secs(5);
        let call = CallTime { started, took: Duration::from_millis(1), is_cold: true };
        let ended = FinishedSpan { record: &record(), attempt: 2, traced: &traced, call, trigger, became };
        SpanAttributes::of(&revision()).span(&ended)
    }

    fn texts(span: &Span) -> Vec<String> {
        let text = |value: Option<&Value>| match value {
            Some(Value::Text(text)) => text.clone(),
            Some(Value::Boolean(boolean)) => boolean.to_string(),
            Some(Value::Integer(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        let value = |attribute: &KeyValue| text(attribute.value.as_ref().and_then(|any| any.value.as_ref()));
        let mut texts: Vec<String> =
            span.attributes.iter().map(|attribute| format!("{}={}", attribute.key, value(attribute))).collect();
        texts.sort();
        texts
    }

    #[test]
    fn a_span_follows_the_conventions() {
        let fault = GuestFault::new(FaultClass::Trap, "ä".repeat(1000));
        let span = span(SpanTrigger::Record, SpanOutcome::GivenUp(&fault));
        assert_eq!((span.name.as_str(), span.kind, span.flags), ("process bids", CONSUMER, 0x301));
        assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (5_000_000_000, 5_001_000_000));
        assert_eq!((span.trace_id.len(), span.span_id.len(), span.parent_span_id[7]), (16, 8, 3));
        assert_eq!(span.status.as_ref().map(|status| (status.code, status.message.len())), Some((ERROR, 1024)));
        let expected = [
            "cloudevents.event_id=1",
            "cloudevents.event_source=/s",
            "cloudevents.event_type=t",
            "error.type=trap",
            "faas.coldstart=true",
            "faas.name=test",
            "faas.trigger=pubsub",
            "faas.version=1",
            "messaging.consumer.group.name=millstream.test",
            "messaging.destination.name=bids",
            "messaging.destination.partition.id=2",
            "messaging.kafka.message.key=lamp",
            "messaging.kafka.offset=7",
            "messaging.message.body.size=2",
            "messaging.operation.name=process",
            "messaging.operation.type=process",
            "messaging.system=kafka",
            "millstream.attempt=2",
            "millstream.outcome=dead-letter",
        ];
        assert_eq!(texts(&span), expected);
    }

    #[test]
    fn a_call_is_no_message() {
        let span = span(SpanTrigger::Call, SpanOutcome::Emitted);
        assert_eq!((span.name.as_str(), span.kind, span.status.is_none()), ("test", SERVER, true));
        let texts = texts(&span);
        assert!(texts.contains(&"faas.trigger=http".to_owned()), "{texts:?}");
        assert!(!texts.iter().any(|text| text.starts_with("messaging.")), "{texts:?}");
    }
}
