//! The HTTP protocol binding 1.0, binary mode, and how an answer of any mode is read.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use millstream_flat::Record;

use super::{Event, NotAnEvent, check_required, place, structured};

const PREFIX: &str = "ce-";

/// The headers of a request that carries `record`: its attributes, and the type of its data.
pub fn headers(record: &Record<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str| {
        // A name that HTTP does not take is none that CloudEvents would.
        if let Ok(name) = HeaderName::try_from(format!("{PREFIX}{name}"))
            && let Ok(value) = HeaderValue::try_from(encode(value))
        {
            headers.append(name, value);
        }
    };
    add("specversion", "1.0");
    add("id", &record.id());
    add("source", &record.source());
    add("type", record.type_());
    for (name, value) in [("subject", record.subject()), ("time", record.time()), ("dataschema", record.dataschema())] {
        if let Some(value) = value {
            add(name, value);
        }
    }
    for (name, value) in place::extensions(record) {
        add(name, &value);
    }
    if let Some(content_type) = record.datacontenttype()
        && let Ok(value) = HeaderValue::from_str(content_type)
    {
        headers.insert(CONTENT_TYPE, value);
    }
    headers
}

/// The events of a message: a batch, a structured event, or one in binary mode. An empty message has none.
pub fn read<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Vec<Event<'a>>, NotAnEvent> {
    let content_type = match headers.get(CONTENT_TYPE) {
        Some(value) => Some(value.to_str().map_err(|_| NotAnEvent("content-type is not text".to_owned()))?),
        None => None,
    };
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match &*media_type {
        "application/cloudevents-batch+json" => structured::read_batch(body),
        "application/cloudevents+json" => Ok(vec![structured::read(body)?]),
        other if other.starts_with("application/cloudevents") => {
            Err(NotAnEvent(format!("event format {other:?} is not supported, only JSON is")))
        }
        _ if headers.contains_key("ce-specversion") => Ok(vec![binary(headers, content_type, body)?]),
        _ if body.is_empty() => Ok(Vec::new()),
        other => Err(NotAnEvent(format!(
            "{} bytes of {other:?} without the header ce-specversion are no event; answer with an event, a batch or an \
             empty body",
            body.len()
        ))),
    }
}

fn binary<'a>(headers: &HeaderMap, content_type: Option<&str>, body: &'a [u8]) -> Result<Event<'a>, NotAnEvent> {
    let mut event = Event::default();
    let mut version = None;
    for (header, value) in headers {
        let Some(name) = header.as_str().strip_prefix(PREFIX) else { continue };
        let value = decode(value.as_bytes()).ok_or_else(|| NotAnEvent(format!("header {header} is not UTF-8")))?;
        match name {
            "specversion" => version = Some(value),
            "id" => event.id = value,
            "source" => event.source = value,
            "type" => event.type_ = value,
            "subject" => event.subject = Some(value),
            "time" => event.time = Some(value),
            "dataschema" => event.dataschema = Some(value),
            // It is the content type; as a header of its own it is not allowed, and it must not win.
            "datacontenttype" => {}
            _ => event.extensions.push((name.to_owned(), value)),
        }
    }
    check_required(version.as_deref(), &event.id, &event.source, &event.type_)?;
    event.datacontenttype = content_type.map(str::to_owned);
    event.data = (!body.is_empty()).then_some(Cow::Borrowed(body));
    Ok(event)
}

/// A value as a header has it: all but printable ASCII is percent-encoded, and so are the space, `"` and `%`.
fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'"' | b'%' => encoded.push_str(&format!("%{byte:02X}")),
            b'!'..=b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The value that a header stands for; nothing where it is no UTF-8.
fn decode(value: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(value.len());
    let value = unquoted(value);
    let mut rest = &*value;
    while let Some((byte, after)) = rest.split_first() {
        match (*byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
                decoded.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

/// A quoted string's content; HTTP lets senders quote.
fn unquoted(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")) else {
        return Cow::Borrowed(value);
    };
    let mut content = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        content.push(if *byte == b'\\' { *bytes.next().unwrap_or(byte) } else { *byte });
    }
    Cow::Owned(content)
}

#[cfg(test)]
mod tests {
    use millstream_flat::{Attributes, RecordFields, write_record};
    use proptest::prelude::*;

    use super::*;

    fn headers_of(attributes: Attributes<'_>) -> HeaderMap {
        let mut flat = Vec::new();
        let fields = RecordFields {
            topic: "bids",
            partition: 2,
            offset: 7,
            key: Some(b"\xff"),
            attributes: Some(attributes),
            ..RecordFields::default()
        };
        write_record(&mut flat, &fields);
        headers(&Record::parse(&flat, "east").expect("a record"))
    }

    fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value"))).collect()
    }

    const REQUIRED: [(&str, &str); 4] =
        [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

    #[test]
    fn attributes_are_headers_and_the_type_of_the_data_is_the_content_type() {
        let headers = headers_of(Attributes {
            id: "1",
            source: "/s",
            type_: "t",
            subject: Some("Euro € \"100%\""),
            datacontenttype: Some("text/plain; charset=utf-8"),
            extensions: &[("region", "eu")],
            ..Attributes::default()
        });
        let header = |name: &str| headers.get(name).map(|value| value.to_str().expect("ASCII"));
        assert_eq!(header("ce-subject"), Some("Euro%20%E2%82%AC%20%22100%25%22"));
        assert_eq!(header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!((header("ce-region"), header("ce-datacontenttype")), (Some("eu"), None));
        assert_eq!((header("ce-millstreamtopic"), header("ce-millstreampartition")), (Some("bids"), Some("2")));
        assert_eq!((header("ce-millstreamoffset"), header("ce-millstreamkey")), (Some("7"), Some("/w==")));
    }

    #[test]
    fn an_answer_has_four_forms() {
        let events = read(&map(&[]), b"").expect("none");
        assert!(events.is_empty());
        let headers = map(&[&REQUIRED[..], &[("content-type", "text/plain"), ("ce-region", "e%20u")]].concat());
        let events = read(&headers, b"hello").expect("binary");
        assert_eq!(events[0].data.as_deref(), Some(&b"hello"[..]));
        assert_eq!(events[0].datacontenttype.as_deref(), Some("text/plain"));
        assert_eq!(events[0].extensions, [("region".to_owned(), "e u".to_owned())]);
        let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
        let structured = map(&[("content-type", "Application/CloudEvents+JSON; charset=utf-8")]);
        assert_eq!(read(&structured, event.as_bytes()).expect("structured").len(), 1);
        let batch = map(&[("content-type", "application/cloudevents-batch+json")]);
        assert_eq!(read(&batch, format!("[{event},{event}]").as_bytes()).expect("a batch").len(), 2);
    }

    #[test]
    fn what_is_no_event_is_told() {
        let said = |headers: &HeaderMap, body: &[u8]| read(headers, body).expect_err("none").0;
        assert!(said(&map(&[("content-type", "text/html")]), b"<p>").contains("text/html"));
        assert!(said(&map(&REQUIRED[..3]), b"").contains("type"));
        assert!(said(&map(&[("ce-specversion", "0.3")]), b"").contains("0.3"));
        assert!(said(&map(&[("content-type", "application/cloudevents+avro")]), b"x").contains("avro"));
        assert!(said(&map(&[&REQUIRED[..], &[("ce-x", "%ff")]].concat()), b"").contains("ce-x"));
    }

    #[test]
    fn values_may_be_quoted_and_a_lone_percent_sign_is_itself() {
        assert_eq!(decode(br#""a \"b\" %C3%A9""#).as_deref(), Some("a \"b\" é"));
        assert_eq!(decode(b"100%").as_deref(), Some("100%"));
        assert_eq!(decode(b"%zz%4").as_deref(), Some("%zz%4"));
    }

    proptest! {
        #[test]
        fn any_text_survives(text in ".{0,60}") {
            let headers = headers_of(Attributes { id: &text, source: "/s", type_: "t", ..Attributes::default() });
            let found = headers.get("ce-id").map(|value| decode(value.as_bytes()));
            prop_assert_eq!(found, Some(Some(text)));
        }
    }
}
