//! A Kafka record becomes an event: CloudEvents Kafka protocol binding 1.0, binary and structured mode. A record that
//! is not a CloudEvent becomes one, with attributes that name its place.

use std::ops::Range;

use millstream_flat::{Attributes, RecordFields, write_record};

use crate::cloudevents::{NotAnEvent, check_required, structured};
use crate::model::record::{HeaderRef, RecordHeaders, TextHeader, pack_headers};

/// A record's parts, however they were read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawFields<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since the Unix epoch.
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    /// The value; none for a tombstone.
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a RecordHeaders<'a>,
}

/// Where a decoded record lies in its arena.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DecodedRecord {
    pub(crate) flat: Range<u32>,
    /// The value as Kafka gave it, where the event's data is another.
    pub(crate) original_value: Option<Range<u32>>,
    /// All headers, packed, where the flat record lacks some.
    pub(crate) original_headers: Option<Range<u32>>,
    /// Why it is not an event. It is in the arena all the same, as a plain record, for its dead letter.
    pub(crate) undecodable: Option<NotAnEvent>,
}

/// Appends the event of a record to `arena`.
pub(crate) fn decode(arena: &mut Vec<u8>, record: &RawFields<'_>) -> DecodedRecord {
    let decoded = decode_text(arena, record);
    match record.headers.beyond_text() {
        None => decoded,
        Some(all) => with_original_headers(arena, all, decoded),
    }
}

/// Keeps headers that the flat record lacks. Few records have any.
#[cold]
fn with_original_headers(arena: &mut Vec<u8>, all: &[HeaderRef<'_>], decoded: DecodedRecord) -> DecodedRecord {
    let original_headers = Some(pack_headers(arena, all));
    align(arena);
    DecodedRecord { original_headers, ..decoded }
}

fn decode_text(arena: &mut Vec<u8>, record: &RawFields<'_>) -> DecodedRecord {
    match mode(record.headers.text()) {
        ContentMode::Plain => plain(arena, record, None),
        ContentMode::Binary => match binary(arena, record) {
            Ok(flat) => DecodedRecord { flat, original_value: None, original_headers: None, undecodable: None },
            Err(error) => plain(arena, record, Some(error)),
        },
        ContentMode::Structured => match structured(arena, record) {
            Ok(decoded) => decoded,
            Err(error) => plain(arena, record, Some(error)),
        },
    }
}

/// Flat records begin at multiples of eight.
fn align(arena: &mut Vec<u8>) {
    arena.resize(arena.len().next_multiple_of(8), 0);
}

/// Appends a record as it is, although it could not be read as the event it claims to be.
fn plain(arena: &mut Vec<u8>, record: &RawFields<'_>, undecodable: Option<NotAnEvent>) -> DecodedRecord {
    let flat = write(arena, record, record.value, None);
    DecodedRecord { flat, original_value: None, original_headers: None, undecodable }
}

enum ContentMode {
    Plain,
    Binary,
    Structured,
}

fn mode(headers: &[TextHeader<'_>]) -> ContentMode {
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("content-type") && value.is_some_and(is_structured) {
            return ContentMode::Structured;
        }
    }
    if headers.iter().any(|(name, _)| *name == "ce_specversion") { ContentMode::Binary } else { ContentMode::Plain }
}

fn is_structured(content_type: &[u8]) -> bool {
    const STRUCTURED: &[u8] = b"application/cloudevents";
    content_type.len() >= STRUCTURED.len()
        && content_type[..STRUCTURED.len()].eq_ignore_ascii_case(STRUCTURED)
        && !content_type[STRUCTURED.len()..].starts_with(b"-batch")
}

fn binary(arena: &mut Vec<u8>, record: &RawFields<'_>) -> Result<Range<u32>, NotAnEvent> {
    let mut attributes = Attributes::default();
    let mut version = None;
    let mut extensions: Vec<(&str, &str)> = Vec::new();
    for (name, value) in record.headers.text() {
        let attribute = match name.strip_prefix("ce_") {
            Some(attribute) => attribute,
            None if name.eq_ignore_ascii_case("content-type") => "datacontenttype",
            None => continue,
        };
        let Some(value) = value else { continue };
        let value = std::str::from_utf8(value)
            .map_err(|error| NotAnEvent(format!("header {name} is not UTF-8 at byte {}", error.valid_up_to())))?;
        match attribute {
            "specversion" => version = Some(value),
            "id" => attributes.id = value,
            "source" => attributes.source = value,
            "type" => attributes.type_ = value,
            "subject" => attributes.subject = Some(value),
            "time" => attributes.time = Some(value),
            "datacontenttype" => attributes.datacontenttype = Some(value),
            "dataschema" => attributes.dataschema = Some(value),
            _ => extensions.push((attribute, value)),
        }
    }
    check_required(version, attributes.id, attributes.source, attributes.type_)?;
    attributes.extensions = &extensions;
    Ok(write(arena, record, record.value, Some(attributes)))
}

fn structured(arena: &mut Vec<u8>, record: &RawFields<'_>) -> Result<DecodedRecord, NotAnEvent> {
    let value = record.value.ok_or_else(|| NotAnEvent("structured event without a value".into()))?;
    if let Some((_, Some(content_type))) =
        record.headers.text().iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        && !content_type.to_ascii_lowercase().starts_with(b"application/cloudevents+json")
    {
        let content_type = String::from_utf8_lossy(content_type);
        return Err(NotAnEvent(format!("event format {content_type:?} is not supported, only JSON is")));
    }
    let event = structured::read(value)?;
    let extensions: Vec<(&str, &str)> =
        event.extensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let attributes = Attributes {
        id: &event.id,
        source: &event.source,
        type_: &event.type_,
        subject: event.subject.as_deref(),
        time: event.time.as_deref(),
        datacontenttype: event.datacontenttype.as_deref().or(event.data.is_some().then_some("application/json")),
        dataschema: event.dataschema.as_deref(),
        extensions: &extensions,
    };
    let flat = write(arena, record, event.data.as_deref(), Some(attributes));
    let start = arena.len() as u32;
    arena.extend_from_slice(value);
    let original_value = Some(start..arena.len() as u32);
    align(arena);
    Ok(DecodedRecord { flat, original_value, original_headers: None, undecodable: None })
}

fn write(
    arena: &mut Vec<u8>,
    record: &RawFields<'_>,
    data: Option<&[u8]>,
    attributes: Option<Attributes<'_>>,
) -> Range<u32> {
    let start = arena.len() as u32;
    write_record(
        arena,
        &RecordFields {
            topic: record.topic,
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            attempt: 1,
            key: record.key,
            data,
            attributes,
            headers: record.headers.text(),
        },
    );
    start..arena.len() as u32
}

#[cfg(test)]
mod tests {
    use millstream_flat::Record;
    use proptest::prelude::*;

    use super::*;

    type Headers<'a> = &'a [TextHeader<'a>];

    fn of<'a>(headers: &[TextHeader<'a>]) -> RecordHeaders<'a> {
        headers.iter().copied().collect()
    }

    fn fields<'a>(value: Option<&'a [u8]>, headers: &'a RecordHeaders<'a>) -> RawFields<'a> {
        RawFields { topic: "bids", partition: 3, offset: 7, timestamp_ms: Some(5), key: Some(b"k"), value, headers }
    }

    fn decoded(arena: &mut Vec<u8>, record: &RawFields<'_>) -> DecodedRecord {
        decode(arena, record)
    }

    fn read<'a>(arena: &'a [u8], decoded: &DecodedRecord) -> Record<'a> {
        let flat = &arena[decoded.flat.start as usize..decoded.flat.end as usize];
        Record::parse(flat, "test").expect("what was written can be read")
    }

    #[test]
    fn a_plain_record_is_wrapped() {
        let mut arena = Vec::new();
        let decoded = decoded(&mut arena, &fields(Some(b"\x00\xff"), &of(&[("a", Some(b"1")), ("a", None)])));
        let record = read(&arena, &decoded);
        assert_eq!(decoded.undecodable, None);
        assert!(!record.is_cloudevent());
        assert_eq!(record.id(), "bids/3/7");
        assert_eq!(record.source(), "kafka://test/bids");
        assert_eq!(record.type_(), "dev.millstream.record");
        assert_eq!(record.subject(), Some("k"));
        assert_eq!(record.data(), Some(&b"\x00\xff"[..]));
        assert_eq!(record.headers().collect::<Vec<_>>(), [("a", Some(&b"1"[..])), ("a", None)]);
    }

    #[test]
    fn binary_mode_reads_the_headers() {
        let headers: Headers<'_> = &[
            ("ce_specversion", Some(b"1.0")),
            ("ce_id", Some(b"1")),
            ("ce_source", Some(b"/s")),
            ("ce_type", Some(b"t")),
            ("ce_region", Some(b"eu")),
            ("content-type", Some(b"application/json")),
        ];
        let mut arena = Vec::new();
        let decoded = decoded(&mut arena, &fields(Some(b"{}"), &of(headers)));
        let record = read(&arena, &decoded);
        assert!(record.is_cloudevent());
        assert_eq!((&*record.id(), record.type_()), ("1", "t"));
        assert_eq!(record.datacontenttype(), Some("application/json"));
        assert_eq!(record.extension("region"), Some("eu"));
        assert_eq!(record.headers().count(), 6);
    }

    #[test]
    fn what_claims_to_be_an_event_must_be_one() {
        let missing: Headers<'_> = &[("ce_specversion", Some(b"1.0")), ("ce_id", Some(b"1"))];
        let not_text: Headers<'_> = &[("ce_specversion", Some(b"1.0")), ("ce_id", Some(b"\xff"))];
        let old: Headers<'_> = &[("ce_specversion", Some(b"0.3"))];
        let structured: Headers<'_> = &[("content-type", Some(b"application/cloudevents+json"))];
        let avro: Headers<'_> = &[("content-type", Some(b"application/cloudevents+avro"))];
        for headers in [missing, not_text, old, structured, avro] {
            let mut arena = Vec::new();
            let decoded = decoded(&mut arena, &fields(Some(b"{"), &of(headers)));
            assert!(decoded.undecodable.is_some(), "{headers:?}");
            assert_eq!(read(&arena, &decoded).data(), Some(&b"{"[..]));
        }
    }

    #[test]
    fn headers_that_a_guest_cannot_see_are_kept() {
        let all: [(&[u8], Option<&[u8]>); 7] = [
            (b"ce_specversion", Some(b"1.0")),
            (b"caf\xe9", Some(b"au lait")),
            (b"ce_id", Some(b"1")),
            (b"ce_\xff", None),
            (b"ce_source", Some(b"/s")),
            (b"ce_type", Some(b"t")),
            (b"a", Some(b"1")),
        ];
        let headers: RecordHeaders<'_> = all.into_iter().collect();
        let mut arena = Vec::new();
        let decoded = decoded(&mut arena, &fields(Some(b"v"), &headers));
        assert_eq!(arena.len() % 8, 0, "the next record is aligned");
        let record = read(&arena, &decoded);
        assert!(record.is_cloudevent() && decoded.undecodable.is_none());
        assert_eq!(record.headers().count(), 5);
        let packed = decoded.original_headers.expect("the guest does not see them all");
        let packed = &arena[packed.start as usize..packed.end as usize];
        assert_eq!(crate::model::record::unpack_headers(packed).collect::<Vec<_>>(), all);
    }

    #[test]
    fn structured_mode_keeps_the_original_value() {
        let value = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}"#;
        let headers: Headers<'_> = &[("content-type", Some(b"application/cloudevents+json; charset=UTF-8"))];
        let mut arena = Vec::new();
        let decoded = decoded(&mut arena, &fields(Some(value), &of(headers)));
        assert_eq!(read(&arena, &decoded).data(), Some(&br#"{"a":1}"#[..]));
        let original = decoded.original_value.expect("structured mode has one");
        assert_eq!(&arena[original.start as usize..original.end as usize], value);
    }

    proptest! {
        #[test]
        fn any_record_is_decoded_and_keeps_its_bytes(
            value in prop::option::of(prop::collection::vec(any::<u8>(), 0..64)),
            names in prop::collection::vec("(ce_)?(specversion|id|source|type|content-type|x)", 0..8),
            header_value in prop::collection::vec(any::<u8>(), 0..16),
        ) {
            let headers: Vec<_> = names.iter().map(|name| (name.as_str(), Some(header_value.as_slice()))).collect();
            let mut arena = Vec::new();
            let decoded = decoded(&mut arena, &fields(value.as_deref(), &of(&headers)));
            let record = read(&arena, &decoded);
            prop_assert_eq!(record.offset(), 7);
            if decoded.original_value.is_none() {
                prop_assert_eq!(record.data(), value.as_deref());
            }
        }
    }

    type OwnedHeaders = Vec<(String, Option<Vec<u8>>)>;

    /// A record as a text: lines `name: value` are its headers, and after an empty line comes its value.
    fn record_of(bytes: &[u8]) -> (OwnedHeaders, Vec<u8>) {
        let (head, value) = match bytes.windows(2).position(|pair| pair == b"\n\n") {
            Some(end) => (&bytes[..end], &bytes[end + 2..]),
            None => (bytes, &b""[..]),
        };
        let header = |line: &[u8]| {
            let colon = line.windows(2).position(|pair| pair == b": ");
            let (name, value) = colon.map_or((line, None), |at| (&line[..at], Some(line[at + 2..].to_vec())));
            (String::from_utf8_lossy(name).into_owned(), value)
        };
        (head.split(|byte| *byte == b'\n').map(header).collect(), value.to_vec())
    }

    #[test]
    fn fuzzed_records_are_events_or_undecodable_and_keep_their_bytes() {
        let good: [&[u8]; 5] = [
            b"a: 1\na\n\nplain",
            b"ce_specversion: 1.0\nce_id: 1\nce_source: /s\nce_type: t\nce_subject: x\ncontent-type: text/plain\n\nhello",
            b"content-type: application/cloudevents+json; charset=utf-8\n\n\
              {\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"n\":1,\"data\":{\"a\":[1,\"\\u00e9\"]}}",
            b"content-type: application/cloudevents+json\n\n\
              {\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"data_base64\":\"AAH/\"}",
            b"content-type: application/cloudevents-batch+json\n\n[{\"specversion\":\"1.0\"}]",
        ];
        crate::fuzzing::fuzz(&good, |bytes| {
            let (headers, value) = record_of(bytes);
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
            let mut arena = Vec::new();
            let decoded = decode(&mut arena, &fields(Some(&value), &of(&headers)));
            let record = read(&arena, &decoded);
            prop_assert_eq!(record.headers().collect::<Vec<_>>(), headers);
            let kept = match &decoded.original_value {
                Some(original) => Some(&arena[original.start as usize..original.end as usize]),
                None => record.data(),
            };
            prop_assert_eq!(kept, Some(&value[..]));
            if decoded.undecodable.is_none() && record.is_cloudevent() {
                prop_assert!(!record.id().is_empty() && !record.source().is_empty() && !record.type_().is_empty());
            }
            Ok(())
        });
    }
}
