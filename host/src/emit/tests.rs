//! What reaches Kafka for what a guest emits, and for what is dead-lettered.

use std::sync::Arc;

use millstream_flat::{
    Answer, AnswerWriter, Attributes, EmissionFields, EmissionKey, RecordFields, Verdict, write_record,
};
use proptest::prelude::*;

use crate::emit::encoder::EmissionEncoder;
use crate::emit::traceparent::NewTraceSampling;
use crate::model::batch_bytes::BatchBytes;
use crate::model::function::tests_support::revision;
use crate::model::function::{EventFormat, FunctionOutput, Revision};
use crate::model::lease::PartitionLease;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::model::parcel::{MessageKind, Parcel};
use crate::model::position::TopicPartition;
use crate::model::record::{HeaderRef, pack_headers};
use crate::model::trace_context::SpanContext;
use crate::model::work::{ChunkRecord, RecordChunk, RecordRef};

const TRACE: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn record(fields: RecordFields<'_>) -> RecordRef {
    let revision = revision();
    let mut arena = Vec::new();
    write_record(
        &mut arena,
        &RecordFields { topic: "bids", partition: 2, offset: 7, timestamp_ms: Some(99), ..fields },
    );
    let flat = 0..arena.len() as u32;
    let record = ChunkRecord {
        from: 5,
        offset: 7,
        flat,
        original_value: None,
        original_headers: None,
        key_hash: None,
        undecodable: None,
    };
    let lease = Arc::new(PartitionLease::new(TopicPartition::new("bids", 2), 1, 0));
    RecordRef { chunk: Arc::new(RecordChunk { lease, revision, arena, records: vec![record] }), index: 0 }
}

fn encoder(format: EventFormat) -> EmissionEncoder {
    let mut revision: Revision = (*revision()).clone();
    revision
        .manifest
        .outputs
        .insert("default".into(), FunctionOutput { topic: "out".into(), format, compression: None });
    revision.manifest.limits.output = 1000;
    EmissionEncoder::new(&revision, &[("test.dead".to_owned(), 20_000)].into_iter().collect())
}

fn encode(
    encoder: &EmissionEncoder,
    record: &RecordRef,
    emissions: &[EmissionFields<'_>],
) -> Result<Parcel, GuestFault> {
    encode_of(encoder, record, None, emissions)
}

fn encode_of(
    encoder: &EmissionEncoder,
    record: &RecordRef,
    span: Option<SpanContext>,
    emissions: &[EmissionFields<'_>],
) -> Result<Parcel, GuestFault> {
    let mut answer = AnswerWriter::new();
    answer.begin_emitted();
    emissions.iter().for_each(|emission| answer.emission(emission));
    answer.end_emitted();
    let answer = answer.finish();
    let answer = Answer::parse(&answer).expect("what was written can be read");
    let mut parcel = Parcel::default();
    for verdict in answer.verdicts() {
        if let Verdict::Emitted(emissions) = verdict
            && let Err(fault) = encoder.emitted(&mut parcel, record, 1, span, &emissions)
        {
            assert!(parcel.messages.is_empty() && parcel.arena.is_empty(), "all or nothing");
            return Err(fault);
        }
    }
    Ok(parcel)
}

fn headers(parcel: &Parcel, index: usize) -> Vec<(String, String)> {
    let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or(b"<none>")).into_owned();
    parcel.headers_of(&parcel.messages[index]).map(|(name, value)| (text(Some(name)), text(value))).collect()
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

#[test]
fn binary_mode_fills_in_what_the_guest_left_out() {
    let headers_in: &[(&str, Option<&[u8]>)] = &[("traceparent", Some(TRACE)), ("tracestate", Some(b"vendor=1"))];
    let record = record(RecordFields { key: Some(b"k"), headers: headers_in, ..Default::default() });
    let emission = EmissionFields { data: Some(b"x"), extensions: &[("region", "eu")], ..Default::default() };
    let parcel = encode(&encoder(EventFormat::Binary), &record, &[emission]).expect("encoded");
    let headers = headers(&parcel, 0);
    assert_eq!(header(&headers, "ce_specversion"), Some("1.0"));
    assert_eq!(header(&headers, "ce_id"), Some("test/bids/2/7/0"));
    assert_eq!(header(&headers, "ce_source"), Some("/millstream/functions/test"));
    assert_eq!(header(&headers, "ce_type"), Some("dev.millstream.event"));
    assert_eq!(header(&headers, "ce_region"), Some("eu"));
    assert_eq!(header(&headers, "ce_millstreamcause"), Some("bids/2/7"));
    assert_eq!(header(&headers, "ce_millstreamfunction"), Some("test@1"));
    assert!(header(&headers, "traceparent").is_some_and(|trace| trace.contains("4bf92f3577b34da6a3ce929d0e0e4736")));
    assert_eq!(header(&headers, "tracestate"), Some("vendor=1"));
    assert_eq!(header(&headers, "ce_millstreamattempt"), None, "the first attempt goes without saying");
    let message = &parcel.messages[0];
    assert_eq!(message.key.as_ref().map(|key| parcel.slice(key)), Some(&b"k"[..]));
    assert_eq!(message.value.as_ref().map(|value| parcel.slice(value)), Some(&b"x"[..]));
}

#[test]
fn all_that_an_attempt_with_a_span_emits_names_that_span() {
    let headers_in: &[(&str, Option<&[u8]>)] = &[("traceparent", Some(TRACE)), ("tracestate", Some(b"vendor=1"))];
    let record = record(RecordFields { headers: headers_in, ..Default::default() });
    let span = SpanContext { trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, span: 7, flags: 1 };
    let emissions = [EmissionFields::default(), EmissionFields::default()];
    let parcel = encode_of(&encoder(EventFormat::Structured), &record, Some(span), &emissions).expect("encoded");
    for index in 0..2 {
        let headers = headers(&parcel, index);
        let expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01";
        assert_eq!(
            (header(&headers, "traceparent"), header(&headers, "tracestate")),
            (Some(expected), Some("vendor=1"))
        );
    }
}

#[test]
fn a_trace_that_begins_here_is_sampled_unless_the_host_decides() {
    let alone = record(RecordFields::default());
    for (begun, flags) in [(NewTraceSampling::Sampled, "-01"), (NewTraceSampling::Unsampled, "-00")] {
        let encoder = encoder(EventFormat::Binary).beginning(begun);
        let headers = headers(&encode(&encoder, &alone, &[EmissionFields::default()]).expect("encoded"), 0);
        assert!(header(&headers, "traceparent").is_some_and(|trace| trace.ends_with(flags)), "{headers:?}");
        assert_eq!(header(&headers, "tracestate"), None);
    }
}

#[test]
fn the_hosts_own_headers_win() {
    let emission = EmissionFields {
        headers: &[("ce_id", Some(b"forged")), ("traceparent", Some(b"forged")), ("mine", None), ("mine", Some(b"2"))],
        extensions: &[("millstreamcause", "forged"), ("id", "forged")],
        ..Default::default()
    };
    let parcel = encode(&encoder(EventFormat::Binary), &record(RecordFields::default()), &[emission]).expect("encoded");
    let headers = headers(&parcel, 0);
    assert!(!headers.iter().any(|(_, value)| value == "forged"), "{headers:?}");
    assert_eq!(headers.iter().filter(|(name, _)| name == "mine").count(), 2);
}

#[test]
fn attributes_with_control_characters_are_refused_where_there_are_attributes() {
    let wrong = [
        EmissionFields { subject: Some("a\r\nce_type: forged"), ..Default::default() },
        EmissionFields { id: Some("\0"), ..Default::default() },
        EmissionFields { datacontenttype: Some("text/plain\n"), ..Default::default() },
        EmissionFields { extensions: &[("region", "e\u{85}u")], ..Default::default() },
        EmissionFields { extensions: &[("partitionkey", "a\tb")], ..Default::default() },
    ];
    for emission in &wrong {
        for format in [EventFormat::Binary, EventFormat::Structured] {
            let record = record(RecordFields::default());
            let fault = encode(&encoder(format), &record, std::slice::from_ref(emission)).expect_err("refused");
            assert_eq!(fault.class, FaultClass::InvalidAnswer);
            assert!(fault.message.contains("control character U+"), "{}", fault.message);
        }
        let raw = encode(&encoder(EventFormat::Raw), &record(RecordFields::default()), std::slice::from_ref(emission));
        assert!(raw.is_ok(), "what is dropped does no harm");
    }
    let good = EmissionFields { subject: Some("Euro €, \u{a0}👍"), ..Default::default() };
    assert!(encode(&encoder(EventFormat::Binary), &record(RecordFields::default()), &[good]).is_ok());
}

#[test]
fn structured_mode_is_one_json_object() {
    let emission = EmissionFields {
        id: Some("1"),
        type_: Some("t"),
        datacontenttype: Some("application/json"),
        data: Some(br#"{"a":1}"#),
        ..Default::default()
    };
    let parcel =
        encode(&encoder(EventFormat::Structured), &record(RecordFields::default()), &[emission]).expect("encoded");
    assert_eq!(header(&headers(&parcel, 0), "content-type"), Some("application/cloudevents+json; charset=UTF-8"));
    let value = parcel.slice(parcel.messages[0].value.as_ref().expect("a value"));
    let event: serde_json::Value = serde_json::from_slice(value).expect("JSON");
    assert_eq!(event["data"]["a"], 1);
    assert_eq!(event["millstreamcause"], "bids/2/7");
    assert_eq!((event["id"].as_str(), event["type"].as_str()), (Some("1"), Some("t")));
    // A reader that we did not write.
    let foreign: cloudevents::Event = serde_json::from_slice(value).expect("CloudEvents' own SDK reads it");
    use cloudevents::AttributesReader as _;
    assert_eq!((foreign.id(), foreign.ty(), foreign.source().as_str()), ("1", "t", "/millstream/functions/test"));
}

#[test]
fn raw_mode_adds_nothing() {
    let emission = EmissionFields { headers: &[("ce_id", Some(b"1"))], data: Some(b"x"), ..Default::default() };
    let parcel = encode(&encoder(EventFormat::Raw), &record(RecordFields::default()), &[emission]).expect("encoded");
    assert_eq!(headers(&parcel, 0), [("ce_id".to_owned(), "1".to_owned())]);
}

#[test]
fn keys_are_inherited_replaced_or_left_out() {
    let record = record(RecordFields { key: Some(b"k\xff"), ..Default::default() });
    let emissions = [
        EmissionFields::default(),
        EmissionFields { key: EmissionKey::None, ..Default::default() },
        EmissionFields { key: EmissionKey::Bytes(b""), ..Default::default() },
        EmissionFields { extensions: &[("partitionkey", "p")], ..Default::default() },
    ];
    let parcel = encode(&encoder(EventFormat::Raw), &record, &emissions).expect("encoded");
    let keys: Vec<_> =
        parcel.messages.iter().map(|message| message.key.as_ref().map(|key| parcel.slice(key))).collect();
    assert_eq!(keys, [Some(&b"k\xff"[..]), None, Some(&b""[..]), Some(&b"p"[..])]);
}

#[test]
fn an_invocation_emits_all_or_nothing() {
    let good = EmissionFields { data: Some(b"x"), ..Default::default() };
    let cases = [
        (EmissionFields { output: "elsewhere", ..Default::default() }, FaultClass::UnknownOutput),
        (EmissionFields { extensions: &[("Not-Valid", "x")], ..Default::default() }, FaultClass::InvalidAnswer),
        (EmissionFields { data: Some(&[0; 1001]), ..Default::default() }, FaultClass::OutputLimit),
    ];
    for (bad, class) in cases {
        let fault = encode(&encoder(EventFormat::Binary), &record(RecordFields::default()), &[good, bad]);
        assert_eq!(fault.map_err(|fault| fault.class).err(), Some(class));
    }
}

#[test]
fn a_dead_letter_is_the_record_and_why() {
    let old = [("millstream-error-class", Some(&b"old"[..])), ("a", Some(b"1")), ("a", None)];
    let attributes = Attributes { id: "1", source: "/s", type_: "t", ..Default::default() };
    let fields = RecordFields {
        key: Some(b"k"),
        data: Some(b"v"),
        headers: &old,
        attributes: Some(attributes),
        ..Default::default()
    };
    let fault = GuestFault::new(FaultClass::Trap, "ä".repeat(5000));
    let mut parcel = Parcel::default();
    encoder(EventFormat::Binary).dead_letter(&mut parcel, &record(fields), &fault, 5);
    let headers = headers(&parcel, 0);
    let expected = [
        ("millstream-error-class", "trap"),
        ("millstream-attempts", "5"),
        ("millstream-function", "test@1"),
        ("millstream-topic", "bids"),
        ("millstream-partition", "2"),
        ("millstream-offset", "7"),
        ("millstream-timestamp", "99"),
    ];
    for (name, value) in expected {
        assert_eq!(header(&headers, name), Some(value), "{name}");
    }
    assert_eq!(headers.iter().filter(|(name, _)| name == "a").count(), 2);
    assert_eq!(&*parcel.messages[0].topic, "test.dead");
    assert_eq!(parcel.messages[0].value.as_ref().map(|value| parcel.slice(value)), Some(&b"v"[..]));
    assert_eq!(parcel.messages[0].batch_bytes, Some(BatchBytes::within(20_000)));
    assert_eq!(parcel.messages[0].kind, MessageKind::DeadLetter);
}

/// The flat record, which guests see, lacks headers whose names are not UTF-8.
#[test]
fn a_dead_letter_has_the_headers_that_its_guest_did_not_see() {
    let all: [HeaderRef<'_>; 4] = [
        (b"a", Some(b"1")),
        (b"caf\xe9", Some(b"\xff")),
        (b"millstream-error-class", Some(b"of an earlier letter")),
        (b"\xff\xfe", None),
    ];
    let mut record = record(RecordFields { headers: &[("a", Some(b"1"))], data: Some(b"v"), ..Default::default() });
    let chunk = Arc::get_mut(&mut record.chunk).expect("the only one");
    chunk.records[0].original_headers = Some(pack_headers(&mut chunk.arena, &all));
    let mut parcel = Parcel::default();
    let fault = GuestFault::new(FaultClass::Trap, "x");
    encoder(EventFormat::Binary).dead_letter(&mut parcel, &record, &fault, 1);
    let written: Vec<HeaderRef<'_>> = parcel.headers_of(&parcel.messages[0]).collect();
    assert_eq!(written[..3], [all[0], all[1], all[3]]);
    assert_eq!(written[3], (&b"millstream-error-class"[..], Some(&b"trap"[..])));
    let copied = {
        let mut copied = Parcel::default();
        copied.copy_message(&parcel, &parcel.messages[0]);
        copied
    };
    assert_eq!(copied.headers_of(&copied.messages[0]).collect::<Vec<_>>(), written);
}

proptest! {
    /// Whatever the data, a structured event is JSON from which the same bytes come back.
    #[test]
    fn structured_data_comes_back(
        data in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[a-z0-9{}\":, ]{0,20}".prop_map(String::into_bytes),
            Just(br#"{"a": [1, null]}"#.to_vec()),
        ],
        content_type in prop::option::of(prop_oneof![
            Just("application/json"), Just("text/plain"), Just("application/octet-stream"), Just("image/svg+xml"),
        ]),
    ) {
        let emission = EmissionFields { data: Some(&data), datacontenttype: content_type, ..Default::default() };
        let parcel = encode(&encoder(EventFormat::Structured), &record(RecordFields::default()), &[emission]).expect("encoded");
        let value = parcel.slice(parcel.messages[0].value.as_ref().expect("a value"));
        let event: serde_json::Value = serde_json::from_slice(value).expect("JSON");
        let back = match (&event["data"], &event["data_base64"]) {
            (serde_json::Value::Null, serde_json::Value::String(encoded)) => {
                use base64::Engine as _;
                base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64")
            }
            (serde_json::Value::String(text), _) if content_type.is_some_and(|name| name.starts_with("text/")) => text.clone().into_bytes(),
            (json, _) => {
                let sent: serde_json::Value = serde_json::from_slice(&data).expect("it was sent as JSON");
                prop_assert_eq!(json, &sent);
                data.clone()
            }
        };
        prop_assert_eq!(back, data);
    }
}
