//! Encodes what a guest emitted for one record: all of it, or nothing.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_flat::{Emission, Emissions, Record};

use crate::emit::attributes::{self, EmissionOrigin};
use crate::emit::structured;
use crate::emit::traceparent::{self, NewTraceSampling};
use crate::model::batch_bytes::{BatchBytes, BatchLimits};
use crate::model::function::{Compression, EventFormat, Revision};
use crate::model::outcome::{FaultClass, GuestFault};
use crate::model::parcel::{MessageKind, Parcel, ParcelMessage};
use crate::model::stamp::{self, HeaderSink as _};
use crate::model::trace_context::{self, SpanContext, TraceParent};
use crate::model::work::RecordRef;

/// Most events that one invocation may emit. Bytes are bounded by `limits.output`; this bounds empty events.
const MOST_EVENTS: usize = 10_000;

#[derive(Debug)]
pub struct EmissionEncoder {
    function: String,
    source: String,
    stamp: String,
    outputs: BTreeMap<String, EncodedOutput>,
    output_limit: u64,
    begun: NewTraceSampling,
    pub(crate) dead_letters: DeadLetters,
}

#[derive(Debug)]
pub(crate) struct DeadLetters {
    pub(crate) topic: Arc<str>,
    pub(crate) batch_bytes: Option<BatchBytes>,
}

#[derive(Debug)]
struct EncodedOutput {
    topic: Arc<str>,
    batch_bytes: Option<BatchBytes>,
    format: EventFormat,
    compression: Option<Compression>,
}

impl EmissionEncoder {
    /// An encoder for what `revision` emits to topics that take batches within `limits`.
    pub(crate) fn new(revision: &Revision, limits: &BatchLimits) -> Self {
        let manifest = &revision.manifest;
        let outputs = manifest.outputs.iter().map(|(name, output)| {
            let output = EncodedOutput {
                topic: output.topic.as_str().into(),
                batch_bytes: limits.of(&output.topic),
                format: output.format,
                compression: output.compression,
            };
            (name.clone(), output)
        });
        Self {
            function: manifest.name.to_string(),
            source: format!("/millstream/functions/{}", manifest.name),
            stamp: revision.stamp(),
            outputs: outputs.collect(),
            output_limit: manifest.limits.output,
            begun: NewTraceSampling::Sampled,
            dead_letters: DeadLetters {
                topic: manifest.dead_letter_topic.as_str().into(),
                batch_bytes: limits.of(&manifest.dead_letter_topic),
            },
        }
    }

    /// The same for a host that decides which of the traces that begin here are sampled.
    pub(crate) fn beginning(self, begun: NewTraceSampling) -> Self {
        Self { begun, ..self }
    }

    /// Where the first emission for `record` comes from.
    pub(crate) fn origin<'a>(&'a self, record: &'a RecordRef) -> EmissionOrigin<'a> {
        EmissionOrigin {
            function: &self.function,
            source: &self.source,
            record,
            attempt: 1,
            span: None,
            index: 0,
            cause: OnceCell::new(),
        }
    }

    pub(crate) fn stamp(&self) -> &str {
        &self.stamp
    }

    /// Adds what the given attempt at a record emitted to `parcel`, or nothing and a fault. What it emitted is caused by
    /// `span`, where the attempt has one.
    pub(crate) fn emitted(
        &self,
        parcel: &mut Parcel,
        record: &RecordRef,
        attempt: u32,
        span: Option<SpanContext>,
        emissions: &Emissions<'_>,
    ) -> Result<(), GuestFault> {
        if emissions.bytes() as u64 > self.output_limit || emissions.len() > MOST_EVENTS {
            return Err(GuestFault::new(
                FaultClass::OutputLimit,
                format!(
                    "the invocation emitted {} events in {} bytes; limits.output allows {} bytes and {MOST_EVENTS} events",
                    emissions.len(),
                    emissions.bytes(),
                    self.output_limit
                ),
            ));
        }
        if emissions.is_empty() {
            return Ok(());
        }
        let mark = parcel.mark();
        let input = Record::reread(record.flat(), "").map_err(|error| {
            GuestFault::new(FaultClass::InvalidAnswer, format!("the record can't be read back: {error}"))
        })?;
        let record_index = parcel.records.len() as u32;
        parcel.records.push(record.clone());
        let mut origin = EmissionOrigin { attempt, span, ..self.origin(record) };
        for (index, emission) in emissions.iter().enumerate() {
            origin.index = index;
            if let Err(fault) = self.emit(parcel, &emission, &input, &origin, record_index) {
                parcel.undo(mark);
                return Err(fault);
            }
        }
        Ok(())
    }

    fn emit<'a>(
        &self,
        parcel: &mut Parcel,
        emission: &Emission<'a>,
        input: &Record<'_>,
        origin: &EmissionOrigin<'a>,
        record: u32,
    ) -> Result<(), GuestFault> {
        let output = self.outputs.get(emission.output()).ok_or_else(|| self.unknown_output(emission.output()))?;
        // What is written raw has no attributes.
        if output.format != EventFormat::Raw {
            attributes::check_values(emission)?;
        }
        let first_header = parcel.headers.len() as u32;
        let value = match output.format {
            EventFormat::Raw => emission.data().map(|data| parcel.store(data)),
            EventFormat::Binary => {
                self.binary_headers(parcel, emission, origin)?;
                emission.data().map(|data| parcel.store(data))
            }
            EventFormat::Structured => {
                parcel.header("content-type", structured::CONTENT_TYPE.as_bytes());
                let start = parcel.arena.len() as u32;
                structured::write(&mut parcel.arena, emission, origin, &self.stamp)?;
                Some(start..parcel.arena.len() as u32)
            }
        };
        for (name, value) in emission.headers() {
            if output.format == EventFormat::Raw || !stamp::is_reserved_header(name) {
                parcel.named_header(name.as_bytes(), value);
            }
        }
        if output.format != EventFormat::Raw {
            let cause = trace_context::told(input, trace_context::HEADER).and_then(TraceParent::parse);
            let traceparent = match origin.span {
                Some(span) => span.to_text(),
                None => traceparent::continue_from(cause, self.begun),
            };
            parcel.header(trace_context::HEADER, &traceparent);
            // Of a trace that others began, and that continues here.
            if cause.is_some()
                && let Some(state) = trace_context::told(input, trace_context::STATE)
            {
                parcel.header(trace_context::STATE, state);
            }
        }
        let key = emission.record_key(input.key()).map(|key| parcel.store(key));
        parcel.messages.push(ParcelMessage {
            topic: output.topic.clone(),
            compression: output.compression,
            batch_bytes: output.batch_bytes,
            key,
            value,
            headers: first_header..parcel.headers.len() as u32,
            record,
            kind: MessageKind::Emission,
        });
        Ok(())
    }

    fn binary_headers<'a>(
        &self,
        parcel: &mut Parcel,
        emission: &Emission<'a>,
        origin: &EmissionOrigin<'a>,
    ) -> Result<(), GuestFault> {
        let required = attributes::required(emission, origin);
        parcel.header("ce_specversion", b"1.0");
        parcel.header("ce_id", required.id.as_bytes());
        parcel.header("ce_source", required.source.as_bytes());
        parcel.header("ce_type", required.type_.as_bytes());
        let optional = [
            ("ce_subject", emission.subject()),
            ("ce_time", emission.time()),
            ("ce_dataschema", emission.dataschema()),
            ("content-type", emission.datacontenttype()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                parcel.header(name, value.as_bytes());
            }
        }
        for (name, value) in emission.extensions() {
            if attributes::check_extension(name)? {
                parcel.named_header(format!("ce_{name}").as_bytes(), Some(value.as_bytes()));
            }
        }
        origin.stamp(&self.stamp).write_headers(parcel);
        Ok(())
    }

    fn unknown_output(&self, name: &str) -> GuestFault {
        let name: String = name.chars().take(80).collect();
        let known: Vec<&str> = self.outputs.keys().map(String::as_str).collect();
        GuestFault::new(
            FaultClass::UnknownOutput,
            format!("the manifest has no output {name:?}; add it to [outputs], which has: {}", known.join(", ")),
        )
    }
}
