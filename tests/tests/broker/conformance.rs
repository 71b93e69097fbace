//! The scenarios of CloudEvents' conformance repository, in our own words: both bindings (Kafka, HTTP), each content mode,
//! in and out. Whatever way an event came, it leaves as the same event in binary and in structured mode.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use millstream_tests::fixture::HostFixture;
use millstream_tests::{PROGRESS, kcat};
use serde_json::Value;

const JSON: &str = r#"{"greeting": "Grüße", "list": [1, 2.5, null]}"#;
const STRUCTURED: &str = "application/cloudevents+json";

/// What an event is, whatever carries it.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    attributes: BTreeMap<String, String>,
    data: Option<Vec<u8>>,
}

/// An event with the attributes that each must have, those of `more`, and this data.
fn event(id: &str, more: &[(&str, &str)], data: Option<&[u8]>) -> Event {
    let required = [("specversion", "1.0"), ("id", id), ("source", "/shop/1?a=b"), ("type", "com.example.sold")];
    let attributes = required.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Event { attributes: attributes.collect(), data: data.map(<[u8]>::to_vec) }
}

/// Headers of the binary mode, with a prefix for the attributes.
fn binary<'a>(prefix: &str, event: &'a Event) -> Vec<(String, &'a str)> {
    let header = |(name, value): (&'a String, &'a String)| match name.as_str() {
        "datacontenttype" => ("content-type".to_owned(), value.as_str()),
        _ => (format!("{prefix}{name}"), value.as_str()),
    };
    event.attributes.iter().map(header).collect()
}

/// The event's JSON, with a member that holds the data.
fn structured(event: &Event, data: &str) -> String {
    let members: Vec<String> = event.attributes.iter().map(|(name, value)| format!("{name:?}:{value:?}")).collect();
    let separator = if data.is_empty() { "" } else { "," };
    format!("{{{}{separator}{data}}}", members.join(","))
}

fn borrowed<'a>(headers: &'a [(String, &'a str)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (name.as_str(), *value)).collect()
}

const FULL: [(&str, &str); 5] = [
    ("subject", "lot 7"),
    ("time", "2018-04-05T03:56:24.5Z"),
    ("dataschema", "https://example.com/s#1"),
    ("datacontenttype", "application/json"),
    ("region", "eu"),
];

/// Sends an event in every way there is; gives what must come out.
fn send(fixture: &HostFixture) -> Vec<Event> {
    let (bootstrap, topic) = (&fixture.kafka.bootstrap, &fixture.input);
    let mut sent = Vec::new();

    // Kafka, binary mode.
    for (id, more, data) in [
        ("k-binary", &FULL[..], JSON.as_bytes()),
        ("k-binary-charset", &[("datacontenttype", "application/json; charset=utf-8")], b"[]"),
        ("k-binary-text", &[("datacontenttype", "text/plain"), ("subject", "Zoë")], "two\nlines €".as_bytes()),
        ("k-binary-bytes", &[("datacontenttype", "application/octet-stream")], b"\x00\x01\xff\n"),
    ] {
        let event = event(id, more, Some(data));
        kcat::produce_one(bootstrap, topic, Some(id), &borrowed(&binary("ce_", &event)), data);
        sent.push(event);
    }

    // Kafka, structured mode.
    let spellings = [STRUCTURED, "application/cloudevents+json; charset=utf-8", "Application/CloudEvents+JSON"];
    for (number, content_type) in spellings.into_iter().enumerate() {
        let event = event(&format!("k-structured-{number}"), &FULL, Some(JSON.as_bytes()));
        let value = structured(&event, &format!("\"data\":{JSON}"));
        kcat::produce_one(bootstrap, topic, Some("k"), &[("content-type", content_type)], value.as_bytes());
        sent.push(event);
    }
    for (id, content_type, member, data) in [
        ("k-structured-bytes", "application/octet-stream", r#""data_base64":"AAH/""#, &b"\x00\x01\xff"[..]),
        ("k-structured-text", "text/plain", r#""data":"two\nlines""#, b"two\nlines"),
        ("k-structured-json-in-base64", "application/json", r#""data_base64":"eyJhIjoxfQ==""#, br#"{"a":1}"#),
    ] {
        let event = event(id, &[("datacontenttype", content_type)], Some(data));
        let value = structured(&event, member);
        kcat::produce_one(bootstrap, topic, Some("k"), &[("content-type", STRUCTURED)], value.as_bytes());
        sent.push(event);
    }
    let without = event("k-structured-no-data", &[], None);
    let value = structured(&without, "");
    kcat::produce_one(bootstrap, topic, Some("k"), &[("content-type", STRUCTURED)], value.as_bytes());
    sent.push(without);

    // HTTP: binary, structured, batch.
    let client = &fixture.host.client;
    let path = format!("/v1/topics/{topic}/events");
    let post = |headers: &[(&str, &str)], body: &str| {
        let (status, answer) = client.send("POST", &path, headers, body);
        assert_eq!(status, 202, "{answer}");
    };
    for (id, more, data) in [
        ("h-binary", &FULL[..], JSON),
        ("h-binary-charset", &[("datacontenttype", "application/json; charset=utf-8")], "[]"),
        ("h-binary-text", &[("datacontenttype", "text/plain")], "two\nlines €"),
    ] {
        let event = event(id, more, Some(data.as_bytes()));
        post(&borrowed(&binary("ce-", &event)), data);
        sent.push(event);
    }
    // Header values are percent-encoded where HTTP takes no other letters.
    let encoded = event("h-binary-encoded", &[("datacontenttype", "text/plain"), ("subject", "Euro €\"")], Some(b"x"));
    let mut headers = binary("ce-", &encoded);
    headers.iter_mut().filter(|(name, _)| name == "ce-subject").for_each(|(_, value)| *value = "Euro%20%E2%82%AC%22");
    post(&borrowed(&headers), "x");
    sent.push(encoded);
    for (number, content_type) in spellings.into_iter().enumerate() {
        let event = event(&format!("h-structured-{number}"), &FULL, Some(JSON.as_bytes()));
        post(&[("content-type", content_type)], &structured(&event, &format!("\"data\":{JSON}")));
        sent.push(event);
    }
    let batch = [0, 1].map(|number| event(&format!("h-batch-{number}"), &FULL, Some(JSON.as_bytes())));
    let bodies = batch.each_ref().map(|event| structured(event, &format!("\"data\":{JSON}")));
    post(&[("content-type", "application/cloudevents-batch+json")], &format!("[{}]", bodies.join(",")));
    sent.extend(batch);
    sent
}

/// An event that left in binary mode.
fn from_binary(record: &kcat::Record) -> Event {
    let attribute = |(name, value): &(String, String)| match name.as_str() {
        "content-type" => Some(("datacontenttype".to_owned(), value.clone())),
        _ => Some((name.strip_prefix("ce_")?.to_owned(), value.clone())),
    };
    Event { attributes: record.headers.iter().filter_map(attribute).collect(), data: record.value.clone() }
}

/// An event that left in structured mode.
fn from_structured(record: &kcat::Record) -> Event {
    assert!(record.header("content-type").is_some_and(|kind| kind.starts_with(STRUCTURED)), "{record:?}");
    let mut members: serde_json::Map<String, Value> = serde_json::from_str(record.text()).expect("JSON");
    let data = match (members.remove("data"), members.remove("data_base64")) {
        (Some(Value::String(text)), None) => Some(text.into_bytes()),
        (Some(json), None) => Some(json.to_string().into_bytes()),
        (None, Some(bytes)) => Some(BASE64.decode(bytes.as_str().expect("a string")).expect("base64")),
        (None, None) => None,
        both => panic!("{both:?}"),
    };
    let attributes = members.into_iter().map(|(name, value)| (name, value.as_str().expect("a string").to_owned()));
    Event { attributes: attributes.collect(), data }
}

/// The event with JSON data in one spelling, and without what the host says of it.
fn normal(mut event: Event) -> Event {
    event.attributes.retain(|name, _| !name.starts_with("millstream"));
    let is_json = event.attributes.get("datacontenttype").is_some_and(|kind| kind.starts_with("application/json"));
    if is_json && let Some(data) = &event.data {
        let json: Value = serde_json::from_slice(data).expect("JSON");
        event.data = Some(json.to_string().into_bytes());
    }
    event
}

#[test]
fn an_event_is_the_same_whatever_way_it_came_and_went() {
    let fixture = HostFixture::new("conformance", 1);
    let sent: BTreeMap<String, Event> =
        send(&fixture).into_iter().map(|event| (event.attributes["id"].clone(), normal(event))).collect();
    for format in ["binary", "structured"] {
        let (name, output) = (format!("{}-{format}", fixture.name), format!("{}.{format}", fixture.output));
        let manifest = format!(
            "topics = [\"{}\"]\ninitial_offset = \"earliest\"\n\
             outputs = {{ default = {{ topic = \"{output}\", format = \"{format}\" }} }}\n",
            fixture.input
        );
        fixture.host.client.deploy(&name, "pass-on", &manifest);
        fixture.host.client.wait_for_no_lag(&name, PROGRESS);
        let records = kcat::read(&fixture.kafka.bootstrap, &output);
        let read = if format == "binary" { from_binary } else { from_structured };
        let came: BTreeMap<String, Event> =
            records.iter().map(read).map(|event| (event.attributes["id"].clone(), normal(event))).collect();
        for (id, event) in &sent {
            assert_eq!(came.get(id), Some(event), "{id} in {format} mode");
        }
        assert_eq!((came.len(), records.len()), (sent.len(), sent.len()), "nothing else, and each once");
    }
}

#[test]
fn what_lacks_a_required_attribute_is_refused_in_every_mode() {
    let fixture = HostFixture::new("nonconformant", 1);
    let whole = event("1", &[("datacontenttype", "text/plain")], Some(b"x"));
    let mut broken = Vec::new();
    for name in ["id", "source", "type"] {
        let mut event = whole.clone();
        event.attributes.remove(name);
        broken.push(event);
    }
    let mut event = whole;
    event.attributes.insert("specversion".to_owned(), "0.3".to_owned());
    broken.push(event);
    let (bootstrap, client) = (&fixture.kafka.bootstrap, &fixture.host.client);
    let path = format!("/v1/topics/{}/events", fixture.input);
    for event in &broken {
        let json = structured(event, r#""data":"x""#);
        kcat::produce_one(bootstrap, &fixture.input, None, &borrowed(&binary("ce_", event)), b"x");
        kcat::produce_one(bootstrap, &fixture.input, None, &[("content-type", STRUCTURED)], json.as_bytes());
        for (headers, body) in
            [(borrowed(&binary("ce-", event)), "x"), (vec![("content-type", STRUCTURED)], json.as_str())]
        {
            let (status, answer) = client.send("POST", &path, &headers, body);
            assert_eq!((status, answer["code"].as_str()), (400, Some("MS0506")), "{event:?}: {answer}");
        }
    }
    fixture.deploy("pass-on", "");
    client.wait_for_no_lag(&fixture.name, PROGRESS);
    assert!(kcat::read(bootstrap, &fixture.output).is_empty());
    let dead = kcat::read(bootstrap, &fixture.dead());
    assert_eq!(dead.len(), 2 * broken.len(), "nothing of what HTTP refused was written");
    for letter in &dead {
        assert_eq!(letter.header("millstream-error-class"), Some("undecodable"), "{letter:?}");
    }
}
