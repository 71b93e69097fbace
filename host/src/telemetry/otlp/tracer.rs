//! Which attempts have a span, and what becomes of it. Without a collector none has one, and nothing is looked at.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use millstream_flat::Record;

use crate::model::function::Revision;
use crate::model::trace_context::{self, AttemptSpan, SpanContext, TraceParent};
use crate::model::work::RecordRef;
use crate::telemetry::otlp::export_queue::ExportQueue;
use crate::telemetry::otlp::span::{FinishedSpan, SpanAttributes};
use crate::telemetry::otlp::wire::Span;

/// Traces what a host does. Cheap to clone; the default one traces nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpanTracer(Option<Arc<SpanQueue>>);

#[derive(Debug)]
struct SpanQueue {
    basket: Arc<ExportQueue<Span>>,
    /// Of the records that belong to no trace, the share for which one is begun.
    ratio: f64,
}

/// Traces the attempts of one revision.
#[derive(Debug, Default)]
pub(crate) struct FunctionTracer {
    spans: Option<Arc<SpanQueue>>,
    constant: SpanAttributes,
}

impl SpanTracer {
    pub(crate) fn new(basket: Arc<ExportQueue<Span>>, ratio: f64) -> Self {
        Self(Some(Arc::new(SpanQueue { basket, ratio })))
    }

    /// Whether it decides which of the traces that begin here are recorded.
    pub(crate) fn decides(&self) -> bool {
        self.0.is_some()
    }

    /// For the attempts of `revision`.
    pub(crate) fn of(&self, revision: &Revision) -> FunctionTracer {
        FunctionTracer { spans: self.0.clone(), constant: SpanAttributes::of(revision) }
    }
}

impl FunctionTracer {
    /// The span of an attempt at `record`, where its trace is recorded.
    #[inline]
    pub(crate) fn begin(&self, record: &RecordRef) -> Option<Box<AttemptSpan>> {
        self.spans.as_ref().and_then(|spans| spans.begin(record))
    }

    /// Sends the span of an attempt that has ended.
    pub(crate) fn end(&self, ended: &FinishedSpan<'_>) {
        if let Some(spans) = &self.spans {
            spans.basket.put(|| self.constant.span(ended));
        }
    }
}

impl SpanQueue {
    fn begin(&self, record: &RecordRef) -> Option<Box<AttemptSpan>> {
        let input = Record::parse(record.flat(), "").ok()?;
        let told = trace_context::told(&input, trace_context::HEADER).and_then(TraceParent::parse);
        let traced = match told.map(|told| told.context()) {
            Some(cause) if cause.is_sampled() => {
                let state = trace_context::told(&input, trace_context::STATE);
                let state = state.and_then(|state| std::str::from_utf8(state).ok()).map(Into::into);
                AttemptSpan { own: cause.next(), parent: Some(cause.span), state }
            }
            Some(_) => return None,
            None => AttemptSpan { own: SpanContext::first_of(self.chosen(&input)?), parent: None, state: None },
        };
        Some(Box::new(traced))
    }

    /// The trace of a record that belongs to none, if it is chosen. It comes of the record itself, so that all attempts,
    /// on every host, are of one trace or of none.
    fn chosen(&self, record: &Record<'_>) -> Option<u128> {
        if self.ratio <= 0.0 {
            return None;
        }
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, record.topic(), record.partition(), record.offset(), record.timestamp_ms()).hash(&mut hasher);
            hasher.finish()
        };
        let (high, low) = (half(0), half(1).max(1));
        // As OpenTelemetry's samplers by ratio: the lower 63 bits are the lot.
        const LOTS: u64 = 1 << 63;
        let is_chosen = ((low % LOTS) as f64) < self.ratio * LOTS as f64;
        is_chosen.then_some(u128::from(high) << 64 | u128::from(low))
    }
}

#[cfg(test)]
mod tests {
    use millstream_flat::{RecordFields, write_record};

    use super::*;
    use crate::model::function::tests_support::revision;
    use crate::model::lease::PartitionLease;
    use crate::model::outcome::CallTime;
    use crate::model::position::TopicPartition;
    use crate::model::work::{ChunkRecord, RecordChunk};
    use crate::telemetry::otlp::export_queue::ExportCounters;
    use crate::telemetry::otlp::span::{SpanOutcome, SpanTrigger};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn record(offset: i64, headers: &[(&str, Option<&[u8]>)]) -> RecordRef {
        let fields = RecordFields { topic: "bids", partition: 2, offset, headers, ..Default::default() };
        let mut arena = Vec::new();
        write_record(&mut arena, &fields);
        let flat = 0..arena.len() as u32;
        let one = ChunkRecord {
            from: offset,
            offset,
            flat,
            original_value: None,
            original_headers: None,
            key_hash: None,
            undecodable: None,
        };
        let lease = Arc::new(PartitionLease::new(TopicPartition::new("bids", 2), 0, offset));
        RecordRef { chunk: Arc::new(RecordChunk { lease, revision: revision(), arena, records: vec![one] }), index: 0 }
    }

    fn traceparent(flags: &str) -> String {
        format!("00-{TRACE}-00f067aa0ba902b7-{flags}")
    }

    fn tracer(ratio: f64) -> (FunctionTracer, Arc<ExportQueue<Span>>) {
        let basket = Arc::new(ExportQueue::new(ExportCounters::default()));
        (SpanTracer::new(basket.clone(), ratio).of(&revision()), basket)
    }

    #[test]
    fn only_what_is_sampled_has_a_span() {
        let (tracer, basket) = tracer(0.0);
        let sampled = traceparent("01");
        let headers = [("traceparent", Some(sampled.as_bytes())), ("tracestate", Some(&b"v=1"[..]))];
        let sampled = record(7, &headers);
        let traced = tracer.begin(&sampled).expect("a span");
        assert_eq!(
            (format!("{:032x}", traced.own.trace).as_str(), traced.parent),
            (TRACE, Some(0x00f0_67aa_0ba9_02b7))
        );
        assert_eq!(traced.state.as_deref(), Some("v=1"));
        for other in [traceparent("00"), "nonsense".to_owned()] {
            assert_eq!(tracer.begin(&record(7, &[("traceparent", Some(other.as_bytes()))])), None, "{other}");
        }
        assert_eq!(tracer.begin(&record(7, &[])), None);
        assert_eq!(FunctionTracer::default().begin(&sampled), None, "without a collector nothing is traced");

        let ended = FinishedSpan {
            record: &sampled,
            attempt: 1,
            traced: &traced,
            call: CallTime::none(),
            trigger: SpanTrigger::Record,
            became: SpanOutcome::Emitted,
        };
        tracer.end(&ended);
        assert_eq!(basket.take()[0].span_id, traced.own.span.to_be_bytes());
    }

    #[test]
    fn of_records_without_a_trace_a_share_begins_one_and_attempts_agree() {
        let (all, _) = tracer(1.0);
        let (some, _) = tracer(0.25);
        let chosen = (0..4000).filter(|offset| {
            let record = record(*offset, &[]);
            let (one, other) = (some.begin(&record), some.begin(&record));
            assert_eq!(one.as_ref().map(|traced| traced.own.trace), other.map(|traced| traced.own.trace));
            assert!(all.begin(&record).is_some_and(|traced| traced.own.is_sampled() && traced.parent.is_none()));
            one.is_some()
        });
        // The same records every time, so it can't fail by chance.
        let chosen = chosen.count();
        assert!((800..1200).contains(&chosen), "{chosen}");
        let unsampled = traceparent("00");
        let headers = [("traceparent", Some(unsampled.as_bytes()))];
        assert_eq!(all.begin(&record(7, &headers)), None, "whoever began the trace has decided");
    }
}
