//! What the shapes have in common that know CloudEvents but nothing of Millstream: one record a call, events back.

use millstream_flat::{AnswerWriter, Batch, EmissionFields, EmissionKey, Record};
use wasmtime::format_err;

use crate::cloudevents::Event;

/// The extension by which an event names its output. The host takes it off.
const OUTPUT: &str = "millstreamoutput";

/// The one record of a request.
pub(crate) fn only_record<'a>(batch: &Batch<'a>) -> wasmtime::Result<Record<'a>> {
    let mut records = batch.records();
    match (records.next(), records.next()) {
        (Some(record), None) => Ok(record),
        _ => Err(format_err!("this shape is called for one record at a time")),
    }
}

/// The flat answer that emits `events`.
pub(crate) fn emitted(events: &[Event<'_>]) -> Vec<u8> {
    let mut answer = AnswerWriter::new();
    answer.begin_emitted();
    events.iter().for_each(|event| write(&mut answer, event));
    answer.end_emitted();
    answer.finish()
}

/// The flat answer that asks for another attempt.
pub(crate) fn retry(after_ms: Option<u64>, reason: &str) -> Vec<u8> {
    let mut answer = AnswerWriter::new();
    answer.retry(after_ms, reason);
    answer.finish()
}

/// The flat answer that gives the record up.
pub(crate) fn reject(reason: &str) -> Vec<u8> {
    let mut answer = AnswerWriter::new();
    answer.reject(reason);
    answer.finish()
}

fn write(answer: &mut AnswerWriter, event: &Event<'_>) {
    let output = event.extensions.iter().find(|(name, _)| name == OUTPUT);
    let extensions: Vec<(&str, &str)> = event
        .extensions
        .iter()
        .filter(|(name, _)| name != OUTPUT)
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    answer.emission(&EmissionFields {
        output: output.map_or("", |(_, output)| output),
        key: EmissionKey::Inherit,
        id: Some(&event.id),
        source: Some(&event.source),
        type_: Some(&event.type_),
        subject: event.subject.as_deref(),
        time: event.time.as_deref(),
        datacontenttype: event.datacontenttype.as_deref(),
        dataschema: event.dataschema.as_deref(),
        extensions: &extensions,
        headers: &[],
        data: event.data.as_deref(),
    });
}
