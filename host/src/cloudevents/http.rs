//! The HTTP protocol binding 1.0: the modes of a message, its attributes as headers, and how an answer is read.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use millstream_flat::Record;

use crate::cloudevents::{Event, NotAnEvent, check_required, place, structured};

const PREFIX: &str = "ce-";

/// The headers of a request that carries `record`: its attributes, and the type of its data.
pub(crate) fn headers(record: &Record<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str| {
        // A name that HTTP does not take is not one that CloudEvents would.
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

/// In which way a message carries events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ContentMode {
    /// One event, all of it in a JSON body.
    Structured,
    /// Events in a JSON array.
    Batch,
    /// One event: its attributes are headers, its data the body.
    Binary,
    /// Nothing says that it is an event.
    Plain,
    /// Events in this format, which is not JSON.
    Unsupported(String),
}

/// The media type of a structured event, and of a batch of them.
pub(crate) const STRUCTURED: &str = "application/cloudevents+json";
pub(crate) const BATCH: &str = "application/cloudevents-batch+json";

/// The mode of a message with these headers.
pub(crate) fn mode(headers: &HeaderMap) -> Result<ContentMode, NotAnEvent> {
    let media_type = content_type(headers)?.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    Ok(match media_type.to_ascii_lowercase().as_str() {
        STRUCTURED => ContentMode::Structured,
        BATCH => ContentMode::Batch,
        other if other.starts_with("application/cloudevents") => ContentMode::Unsupported(other.to_owned()),
        _ if headers.keys().any(|name| name.as_str().starts_with(PREFIX)) => ContentMode::Binary,
        _ => ContentMode::Plain,
    })
}

/// The header `Content-Type`, which in binary mode is the attribute `datacontenttype`.
pub(crate) fn content_type(headers: &HeaderMap) -> Result<Option<&str>, NotAnEvent> {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::to_str).transpose();
    value.map_err(|_| NotAnEvent("the header Content-Type is not ASCII".to_owned()))
}

/// The attributes that are headers, each once, decoded and not checked any further; `datacontenttype` is not one of them.
pub(crate) fn attributes(headers: &HeaderMap) -> Result<Vec<(&str, String)>, NotAnEvent> {
    let mut read = Vec::new();
    for header in headers.keys() {
        let Some(name) = header.as_str().strip_prefix(PREFIX) else { continue };
        if name == "datacontenttype" {
            let told = "datacontenttype is the header Content-Type, not Ce-Datacontenttype";
            return Err(NotAnEvent(told.to_owned()));
        }
        let mut values = headers.get_all(header).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(NotAnEvent(format!("the attribute {name} came twice")));
        };
        let value = decode(value.as_bytes())
            .ok_or_else(|| NotAnEvent(format!("the header {header} is not UTF-8, percent-encoded")))?;
        read.push((name, value));
    }
    Ok(read)
}

/// The events of an answer. An empty one has none.
pub(crate) fn read<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Vec<Event<'a>>, NotAnEvent> {
    match mode(headers)? {
        ContentMode::Batch => structured::read_batch(body),
        ContentMode::Structured => Ok(vec![structured::read(body)?]),
        ContentMode::Binary => Ok(vec![binary(headers, body)?]),
        ContentMode::Unsupported(format) => {
            Err(NotAnEvent(format!("event format {format:?} is not supported, only JSON is")))
        }
        ContentMode::Plain if body.is_empty() => Ok(Vec::new()),
        ContentMode::Plain => Err(NotAnEvent(format!(
            "{} bytes of {:?} without the header ce-specversion are not an event; answer with an event, a batch or an \
             empty body",
            body.len(),
            content_type(headers)?.unwrap_or_default()
        ))),
    }
}

fn binary<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Event<'a>, NotAnEvent> {
    let mut event = Event::default();
    let mut version = None;
    for (name, value) in attributes(headers)? {
        match name {
            "specversion" => version = Some(value),
            "id" => event.id = value,
            "source" => event.source = value,
            "type" => event.type_ = value,
            "subject" => event.subject = Some(value),
            "time" => event.time = Some(value),
            "dataschema" => event.dataschema = Some(value),
            _ => event.extensions.push((name.to_owned(), value)),
        }
    }
    check_required(version.as_deref(), &event.id, &event.source, &event.type_)?;
    event.datacontenttype = content_type(headers)?.map(str::to_owned);
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

/// The value that a header stands for; nothing where it is not UTF-8.
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
        assert!(said(&map(&[&REQUIRED[..], &[("ce-datacontenttype", "x/y")]].concat()), b"").contains("Content-Type"));
        let mut twice = map(&REQUIRED);
        twice.append("ce-id", HeaderValue::from_static("2"));
        assert!(said(&twice, b"").contains("twice"));
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
