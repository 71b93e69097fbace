//! CloudEvents in structured content mode: one JSON object with the attributes, and the data in a member.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;

use crate::cloudevents::{Event, NotAnEvent, check_required};

pub(crate) fn read(json: &[u8]) -> Result<Event<'_>, NotAnEvent> {
    let broken = |error: serde_json::Error| NotAnEvent(format!("structured event: {error}"));
    let members: ObjectMembers<'_> = serde_json::from_slice(json).map_err(broken)?;
    let mut event = Event::default();
    let mut version = None;
    let mut data: Option<&RawValue> = None;
    let mut data_base64: Option<&RawValue> = None;
    for (name, value) in members.0 {
        match &*name {
            "specversion" => version = text(&name, value)?,
            "id" => event.id = text(&name, value)?.unwrap_or_default(),
            "source" => event.source = text(&name, value)?.unwrap_or_default(),
            "type" => event.type_ = text(&name, value)?.unwrap_or_default(),
            "subject" => event.subject = text(&name, value)?,
            "time" => event.time = text(&name, value)?,
            "datacontenttype" => event.datacontenttype = text(&name, value)?,
            "dataschema" => event.dataschema = text(&name, value)?,
            "data" => data = Some(value),
            "data_base64" => data_base64 = Some(value),
            _ => {
                if let Some(value) = extension(&name, value)? {
                    event.extensions.push((name.into_owned(), value));
                }
            }
        }
    }
    check_required(version.as_deref(), &event.id, &event.source, &event.type_)?;
    event.data = match (data, data_base64) {
        (Some(_), Some(_)) => return Err(NotAnEvent("structured event: both data and data_base64 are given".into())),
        (None, Some(encoded)) => {
            let encoded = text("data_base64", encoded)?.unwrap_or_default();
            let bytes = BASE64.decode(encoded).map_err(|error| NotAnEvent(format!("data_base64: {error}")))?;
            Some(Cow::Owned(bytes))
        }
        (Some(value), None) if value.get() == "null" => None,
        (Some(value), None) if is_json(event.datacontenttype.as_deref()) => Some(Cow::Borrowed(value.get().as_bytes())),
        // Data of another type is the text itself where JSON holds a string, and the JSON otherwise.
        (Some(value), None) => Some(match serde_json::from_str::<String>(value.get()) {
            Ok(text) => Cow::Owned(text.into_bytes()),
            Err(_) => Cow::Borrowed(value.get().as_bytes()),
        }),
        (None, None) => None,
    };
    if event.data.is_some() && event.datacontenttype.is_none() && data.is_some() {
        event.datacontenttype = Some("application/json".to_owned());
    }
    Ok(event)
}

/// Reads a batch: a JSON array of structured events.
pub(crate) fn read_batch(json: &[u8]) -> Result<Vec<Event<'_>>, NotAnEvent> {
    let events: Vec<&RawValue> =
        serde_json::from_slice(json).map_err(|error| NotAnEvent(format!("batch of events: {error}")))?;
    events.into_iter().map(|event| read(event.get().as_bytes())).collect()
}

/// Whether a `datacontenttype` says JSON; none given means JSON in structured mode.
pub(crate) fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return true };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let subtype = media_type.rsplit('/').next().unwrap_or_default();
    subtype.eq_ignore_ascii_case("json") || subtype.to_ascii_lowercase().ends_with("+json")
}

fn text(name: &str, value: &RawValue) -> Result<Option<String>, NotAnEvent> {
    serde_json::from_str(value.get())
        .map_err(|_| NotAnEvent(format!("structured event: {name} must be a string, not {}", shorten(value.get()))))
}

/// Extensions may also be numbers and booleans; CloudEvents gives each type one text form.
fn extension(name: &str, value: &RawValue) -> Result<Option<String>, NotAnEvent> {
    match serde_json::from_str(value.get()) {
        Ok(serde_json::Value::Null) => Ok(None),
        Ok(serde_json::Value::String(text)) => Ok(Some(text)),
        Ok(scalar @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_))) => Ok(Some(scalar.to_string())),
        _ => Err(NotAnEvent(format!(
            "structured event: extension {name} must be a string, number or boolean, not {}",
            shorten(value.get())
        ))),
    }
}

fn shorten(json: &str) -> String {
    json.chars().take(40).collect()
}

/// The members of an object, in order, each value still as text.
struct ObjectMembers<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for ObjectMembers<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> serde::de::Visitor<'de> for MembersVisitor {
            type Value = ObjectMembers<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(name), value));
                }
                Ok(ObjectMembers(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_event_is_read_whole() {
        let json =
            br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"x","time":"2026-01-01T00:00:00Z",
            "count":3,"flag":true,"none":null,"data":{"a": [1, 2]}}"#;
        let event = read(json).expect("a valid event");
        assert_eq!((event.id.as_str(), event.source.as_str(), event.type_.as_str()), ("1", "/s", "t"));
        assert_eq!(event.subject.as_deref(), Some("x"));
        assert_eq!(event.extensions, [("count".to_owned(), "3".to_owned()), ("flag".to_owned(), "true".to_owned())]);
        assert_eq!(event.data.as_deref(), Some(&br#"{"a": [1, 2]}"#[..]));
    }

    #[test]
    fn data_has_three_forms() {
        let event = |rest: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t",{rest}}}"#);
        let data = |rest: &str| read(event(rest).as_bytes()).map(|event| event.data.map(Cow::into_owned));
        assert_eq!(data(r#""data_base64":"AAH/""#), Ok(Some(vec![0, 1, 255])));
        assert_eq!(data(r#""datacontenttype":"text/plain","data":"a\nb""#), Ok(Some(b"a\nb".to_vec())));
        assert_eq!(
            data(r#""datacontenttype":"application/json; charset=utf-8","data":"a""#),
            Ok(Some(b"\"a\"".to_vec()))
        );
        assert_eq!(data(r#""data":null"#), Ok(None));
        assert!(data(r#""data":1,"data_base64":"AA==""#).is_err());
        assert!(data(r#""data_base64":"no base64!""#).is_err());
    }

    #[test]
    fn a_batch_is_a_list_of_events() {
        let event = |id: u8| format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t"}}"#);
        let batch = format!("[{}, {}]", event(1), event(2));
        let ids: Vec<_> = read_batch(batch.as_bytes()).expect("valid").into_iter().map(|event| event.id).collect();
        assert_eq!(ids, ["1", "2"]);
        assert_eq!(read_batch(b"[]"), Ok(Vec::new()));
        for wrong in ["", "{}", "[{}]", "[1]"] {
            assert!(read_batch(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = read(br#"{"specversion":"1.0","id":"1","type":"t"}"#).expect_err("no source");
        assert!(error.0.contains("source"), "{}", error.0);
        assert!(read(b"{\"specversion\":\"1.0\"").is_err());
        assert!(read(b"[]").is_err());
        assert!(read(b"\xff").is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
