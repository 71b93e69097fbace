//! Writing a record: once, when the host takes it from Kafka. Afterwards it is only copied.

use crate::bytes::{length, pad, patch_u32, put_bytes, put_optional_bytes, put_u32};

/// What the host knows of one record.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordFields<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The event's data; none for a tombstone.
    pub data: Option<&'a [u8]>,
    /// The CloudEvents attributes. None when the record isn't a CloudEvent: the reader derives them when asked.
    pub attributes: Option<Attributes<'a>>,
    /// Every Kafka header in order, duplicates kept.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// The context attributes of a CloudEvent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'a> {
    /// `id`.
    pub id: &'a str,
    /// `source`.
    pub source: &'a str,
    /// `type`.
    pub type_: &'a str,
    /// `subject`.
    pub subject: Option<&'a str>,
    /// `time`, RFC 3339.
    pub time: Option<&'a str>,
    /// `datacontenttype`.
    pub datacontenttype: Option<&'a str>,
    /// `dataschema`.
    pub dataschema: Option<&'a str>,
    /// Extension attributes in order.
    pub extensions: &'a [(&'a str, &'a str)],
}

pub(crate) const HAS_TIMESTAMP: u32 = 1;
pub(crate) const HAS_KEY: u32 = 1 << 1;
pub(crate) const HAS_DATA: u32 = 1 << 2;
pub(crate) const IS_CLOUDEVENT: u32 = 1 << 3;
pub(crate) const ATTEMPT_AT: usize = 4;
pub(crate) const HEAD: usize = 56;

/// Appends a record to `out`: a blob whose length is a multiple of eight and that can be moved anywhere.
pub fn write_record(out: &mut Vec<u8>, fields: &RecordFields<'_>) {
    let start = out.len();
    let (key, data) = (fields.key.unwrap_or_default(), fields.data.unwrap_or_default());
    out.reserve(HEAD + fields.topic.len() + key.len() + data.len() + 8);
    let flag = |holds: bool, flag: u32| if holds { flag } else { 0 };
    let flags = flag(fields.timestamp_ms.is_some(), HAS_TIMESTAMP)
        | flag(fields.key.is_some(), HAS_KEY)
        | flag(fields.data.is_some(), HAS_DATA)
        | flag(fields.attributes.is_some(), IS_CLOUDEVENT);

    let mut head = [0u8; HEAD];
    head[4..8].copy_from_slice(&fields.attempt.to_le_bytes());
    head[8..16].copy_from_slice(&fields.offset.to_le_bytes());
    head[16..24].copy_from_slice(&fields.timestamp_ms.unwrap_or_default().to_le_bytes());
    head[24..28].copy_from_slice(&fields.partition.to_le_bytes());
    head[28..32].copy_from_slice(&flags.to_le_bytes());
    head[32..36].copy_from_slice(&length(fields.topic.as_bytes()).to_le_bytes());
    head[36..40].copy_from_slice(&length(key).to_le_bytes());
    head[40..44].copy_from_slice(&length(data).to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(fields.topic.as_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(data);
    if let Some(attributes) = &fields.attributes {
        let section = out.len();
        write_attributes(out, attributes);
        let section_length = (out.len() - section) as u32;
        patch_u32(out, start + 44, section_length);
    }
    if !fields.headers.is_empty() {
        let section = out.len();
        put_u32(out, fields.headers.len() as u32);
        for (name, value) in fields.headers {
            put_bytes(out, name.as_bytes());
            put_optional_bytes(out, *value);
        }
        let section_length = (out.len() - section) as u32;
        patch_u32(out, start + 48, section_length);
    }
    pad(out, start);
    let size = (out.len() - start) as u32;
    patch_u32(out, start, size);
}

fn write_attributes(out: &mut Vec<u8>, attributes: &Attributes<'_>) {
    for text in [attributes.id, attributes.source, attributes.type_] {
        put_bytes(out, text.as_bytes());
    }
    for text in [attributes.subject, attributes.time, attributes.datacontenttype, attributes.dataschema] {
        put_optional_bytes(out, text.map(str::as_bytes));
    }
    put_u32(out, attributes.extensions.len() as u32);
    for (name, value) in attributes.extensions {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

/// Sets the number of the attempt in a record that was written before.
///
/// # Panics
///
/// When `record` is shorter than a record's head: it must start with one.
pub fn set_attempt(record: &mut [u8], attempt: u32) {
    patch_u32(record, ATTEMPT_AT, attempt);
}
