//! A record as one line of structured JSON: what a guest reads that is a command.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use millstream_flat::Record;
use serde::ser::{Error as _, SerializeMap as _, Serializer as _};
use serde_json::value::RawValue;

use crate::cloudevents::{place, structured};

/// Appends the event of `record` and the end of its line to `out`. JSON data is in `data`, the same value without white
/// space around it and without line breaks between its tokens; all other is in `data_base64`, byte for byte.
pub(crate) fn write(out: &mut Vec<u8>, record: &Record<'_>) -> Result<(), serde_json::Error> {
    let mut serializer = serde_json::Serializer::new(&mut *out);
    let mut event = serializer.serialize_map(None)?;
    event.serialize_entry("specversion", "1.0")?;
    event.serialize_entry("id", &record.id())?;
    event.serialize_entry("source", &record.source())?;
    event.serialize_entry("type", record.type_())?;
    let optional = [
        ("subject", record.subject()),
        ("time", record.time()),
        ("datacontenttype", record.datacontenttype()),
        ("dataschema", record.dataschema()),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            event.serialize_entry(name, value)?;
        }
    }
    for (name, value) in place::extensions(record) {
        event.serialize_entry(name, &value)?;
    }
    if let Some(data) = record.data() {
        match json(data, record.datacontenttype()) {
            Some(json) => {
                let json = on_one_line(json.get());
                let json = RawValue::from_string(json.into_owned()).map_err(serde_json::Error::custom)?;
                event.serialize_entry("data", &json)?;
            }
            None => event.serialize_entry("data_base64", &BASE64.encode(data))?,
        }
    }
    event.end()?;
    out.push(b'\n');
    Ok(())
}

/// `data` where it is JSON by its type and by itself. `null` is not: in `data` it would say that there are none.
fn json<'a>(data: &'a [u8], content_type: Option<&str>) -> Option<&'a RawValue> {
    if !structured::is_json(content_type) {
        return None;
    }
    serde_json::from_slice::<&RawValue>(data).ok().filter(|json| json.get() != "null")
}

/// JSON without the line breaks between its tokens. Within strings there are none.
fn on_one_line(json: &str) -> Cow<'_, str> {
    match json.contains(['\n', '\r']) {
        true => Cow::Owned(json.replace(['\n', '\r'], "")),
        false => Cow::Borrowed(json),
    }
}

#[cfg(test)]
mod tests {
    use millstream_flat::{Attributes, RecordFields, write_record};
    use proptest::prelude::*;

    use super::*;

    fn line(fields: &RecordFields<'_>) -> String {
        let (mut flat, mut out) = (Vec::new(), Vec::new());
        write_record(&mut flat, fields);
        write(&mut out, &Record::parse(&flat, "east").expect("a record")).expect("written");
        String::from_utf8(out).expect("text")
    }

    fn record<'a>(content_type: Option<&'a str>, data: &'a [u8]) -> RecordFields<'a> {
        RecordFields {
            topic: "bids",
            partition: 2,
            offset: 7,
            key: Some(b"lot"),
            data: Some(data),
            attributes: Some(Attributes {
                id: "1",
                source: "/s",
                type_: "t",
                datacontenttype: content_type,
                extensions: &[("region", "eu"), ("millstreamtopic", "forged")],
                ..Attributes::default()
            }),
            ..RecordFields::default()
        }
    }

    #[test]
    fn an_event_is_one_line_with_its_place() {
        let expected = concat!(
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/json","#,
            r#""region":"eu","millstreamtopic":"bids","millstreampartition":"2","millstreamoffset":"7","#,
            r#""millstreamkey":"lot","data":{ "a":  ["x\n"]}}"#,
            "\n"
        );
        assert_eq!(line(&record(Some("application/json"), b"{\r\n \"a\": \n [\"x\\n\"]}")), expected);
    }

    #[test]
    fn what_is_no_json_is_in_base64() {
        for (content_type, data) in [
            (Some("text/plain"), &b"42"[..]),
            (Some("application/json"), b"{no json"),
            (None, b"hello"),
            (None, b"null"),
            (None, b"\xff"),
        ] {
            let encoded = format!(r#""data_base64":"{}"}}"#, BASE64.encode(data));
            assert!(line(&record(content_type, data)).trim_end().ends_with(&encoded), "{content_type:?}");
        }
        assert!(line(&record(None, b"42")).trim_end().ends_with(r#""data":42}"#));
    }

    #[test]
    fn a_plain_record_is_an_event_too_and_its_key_may_be_anything() {
        let record = RecordFields { topic: "bids", key: Some(b"\xff\x00"), ..RecordFields::default() };
        let line = line(&record);
        assert!(
            line.contains(r#""id":"bids/0/0","source":"kafka://east/bids","type":"dev.millstream.record""#),
            "{line}"
        );
        assert!(line.contains(r#""millstreamkey":"/wA=""#) && !line.contains("\"data"), "{line}");
    }

    /// JSON as the same value, all other data byte for byte.
    fn is_read_back(content_type: Option<&str>, data: &[u8]) -> Result<(), TestCaseError> {
        let line = line(&record(content_type, data));
        prop_assert_eq!(line.matches('\n').count(), 1);
        let event = structured::read(line.as_bytes()).expect("an event");
        let read = event.data.as_deref().expect("data");
        match serde_json::from_slice::<serde_json::Value>(data) {
            Ok(value) if content_type.is_none() => {
                prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(read).expect("JSON"), value);
            }
            _ => prop_assert_eq!(read, data),
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_data_is_read_back(data in prop::collection::vec(any::<u8>(), 0..100), is_text in any::<bool>()) {
            is_read_back(is_text.then_some("text/plain"), &data)?;
        }

        #[test]
        fn json_is_read_back_as_the_same_value(data in "[ \t\r\n]{0,2}[\\[{}\\]0-9a\",:. \n-]{0,12}[ \t\r\n]{0,2}") {
            is_read_back(None, data.as_bytes())?;
        }
    }
}
