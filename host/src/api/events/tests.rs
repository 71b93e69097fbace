use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use proptest::prelude::*;

use crate::api::events::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (name.parse::<axum::http::HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut map = HeaderMap::new();
    for (name, value) in pairs.iter().map(pair) {
        map.append(name, value);
    }
    map
}

const REQUIRED: [(&str, &str); 4] = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

fn binary(more: &[(&str, &str)], body: &'static [u8]) -> Result<RequestContent, ApiProblem> {
    read(&headers(&[&REQUIRED, more].concat()), &Bytes::from_static(body), None)
}

fn refusal(content: Result<RequestContent, ApiProblem>) -> String {
    let problem = content.expect_err("refused");
    assert_eq!(problem.code(), ErrorCode::InvalidEvent);
    problem.text().to_owned()
}

#[test]
fn binary_events_become_headers_of_a_record() {
    let more = [
        ("content-type", "text/plain"),
        ("ce-subject", "Euro%20%E2%82%AC"),
        ("ce-partitionkey", "lot-7"),
        ("traceparent", "00-x"),
    ];
    let Ok(RequestContent::One(event)) = binary(&more, b"hello") else { panic!("an event") };
    assert_eq!((event.key.as_deref(), event.value.as_deref()), (Some(&b"lot-7"[..]), Some(&b"hello"[..])));
    let of = |name: &str| event.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
    assert_eq!(of("ce_subject"), Some("Euro €".as_bytes()));
    assert_eq!(
        (of("ce_id"), of("content-type"), of("traceparent")),
        (Some(&b"1"[..]), Some(&b"text/plain"[..]), Some(&b"00-x"[..]))
    );
    let Ok(RequestContent::One(bare)) = binary(&[], b"") else { panic!("an event") };
    assert_eq!((bare.value, bare.key), (None, None));
}

#[test]
fn structured_events_stay_as_they_are() {
    let json = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":"k","data":{"b":1,"a":2}}"#;
    let body = Bytes::from_static(json.as_bytes());
    let headers = headers(&[("content-type", "application/cloudevents+json; charset=utf-8")]);
    let Ok(RequestContent::One(event)) = read(&headers, &body, None) else { panic!("an event") };
    assert_eq!((event.key.as_deref(), event.value.as_deref()), (Some(&b"k"[..]), Some(json.as_bytes())));
    let Ok(RequestContent::One(event)) = read(&headers, &body, Some("other")) else { panic!("an event") };
    assert_eq!(event.key.as_deref(), Some(&b"other"[..]));
}

#[test]
fn the_events_of_a_batch_stand_for_themselves() {
    let json = br#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"},{"id":"2"}]"#;
    let headers = headers(&[("content-type", "application/cloudevents-batch+json")]);
    let Ok(RequestContent::Batch(events)) = read(&headers, &Bytes::from_static(json), None) else { panic!("a batch") };
    assert!(events[0].is_ok() && events[1].as_ref().is_err_and(|problem| problem.text().contains("specversion")));
    assert!(refusal(read(&headers, &Bytes::from_static(b"{}"), None)).contains("array"));
    let many = format!("[{}]", vec!["{}"; MOST_EVENTS + 1].join(","));
    assert_eq!(read(&headers, &many.into(), None).unwrap_err().code(), ErrorCode::RequestTooLarge);
}

#[test]
fn what_says_nothing_of_itself_is_plain() {
    let Ok(RequestContent::Plain(event)) =
        read(&headers(&[("content-type", "text/csv")]), &Bytes::from_static(b"a,b"), Some("k"))
    else {
        panic!("plain")
    };
    assert_eq!(event.headers, [("content-type".to_owned(), b"text/csv".to_vec())]);
    assert_eq!((event.key.as_deref(), event.value.as_deref()), (Some(&b"k"[..]), Some(&b"a,b"[..])));
}

#[test]
fn attributes_that_no_event_may_have_are_refused() {
    for (name, value, said) in [
        ("ce-subject", "a%0D%0Ace_type: evil", "control character"),
        ("ce-x", "tab%09", "control character"),
        ("ce-millstreamcause", "x/0/1", "reserved"),
        ("ce-data", "x", "no attribute's"),
        ("ce-data_base64", "x", "no attribute's"),
        ("ce-a-b", "x", "only a-z and 0-9"),
        ("ce-", "x", "only a-z and 0-9"),
        ("ce-time", "yesterday", "RFC 3339"),
        ("ce-time", "2026-01-01", "RFC 3339"),
        ("ce-dataschema", "a b", "URI"),
        ("ce-datacontenttype", "text/plain", "Content-Type"),
        ("ce-x", "%FF", "UTF-8"),
        ("ce-id", "2", "twice"),
        ("ce-subject", "", "empty"),
    ] {
        let told = refusal(binary(&[(name, value)], b""));
        assert!(told.contains(said), "{name}: {told}");
    }
    assert!(binary(&[("ce-time", "2026-01-31T23:59:59.5+01:00"), ("ce-source2", "a b")], b"").is_ok());
    for missing in 0..REQUIRED.len() {
        let mut pairs = REQUIRED.to_vec();
        let (name, _) = pairs.remove(missing);
        let told = refusal(read(&headers(&pairs), &Bytes::new(), None));
        assert!(told.contains(name.trim_start_matches("ce-")), "{told}");
    }
    let json = |more: &str| {
        let json = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t",{more}}}"#);
        read(&headers(&[("content-type", STRUCTURED)]), &json.into(), None)
    };
    for wrong in [r#""millstreamoutput":"x""#, r#""A":"x""#, r#""subject":"a\nb""#, r#""time":"now""#, r#""x":{}"#] {
        refusal(json(wrong));
    }
    let avro = headers(&[("content-type", "application/cloudevents+avro")]);
    assert_eq!(read(&avro, &Bytes::new(), None).unwrap_err().code(), ErrorCode::UnsupportedMediaType);
}

proptest! {
    #[test]
    fn arbitrary_requests_never_panic(
        names in prop::collection::vec("(ce-)?[a-z0-9_-]{0,12}", 0..6),
        value in "[ -~]{0,20}",
        content_type in "(application/cloudevents(-batch)?\\+json|text/plain)?",
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut map = HeaderMap::new();
        for name in names.iter().filter_map(|name| name.parse::<axum::http::HeaderName>().ok()) {
            map.append(name, HeaderValue::from_str(&value).unwrap());
        }
        if !content_type.is_empty() {
            map.insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        let _ = read(&map, &body.into(), None);
    }
}

/// A request as a text: lines `name: value` are its headers, and after an empty line comes its body.
fn request_of(bytes: &[u8]) -> (HeaderMap, Bytes) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((bytes, &b""[..]), |end| (&bytes[..end], &bytes[end + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.windows(2).position(|pair| pair == b": ") else { continue };
        let name = axum::http::HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&line[colon + 2..])) {
            headers.append(name, value);
        }
    }
    (headers, Bytes::copy_from_slice(body))
}

/// What is taken can be read by the host as an event, and nothing of it is the host's to say.
#[test]
fn fuzzed_requests_are_events_or_refused() {
    use crate::consume::decode::{RawFields, decode};

    let good: [&[u8]; 5] = [
        b"ce-specversion: 1.0\nce-id: 1\nce-source: /s\nce-type: t\nce-subject: %C3%A9\nce-time: 2026-01-31T23:59:59Z\n\nhello",
        b"ce-specversion: 1.0\nce-id: \"1 \\\"2\\\"\"\nce-source: /s\nce-type: t\nce-partitionkey: k\ncontent-type: text/plain\n\n",
        b"content-type: application/cloudevents+json\n\n\
          {\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"partitionkey\":\"k\",\"data\":[1]}",
        b"content-type: application/cloudevents-batch+json\n\n\
          [{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"},{\"id\":\"2\"}]",
        b"content-type: text/csv\ntraceparent: 00-x\n\na,b",
    ];
    crate::fuzzing::fuzz(&good, |bytes| {
        let (headers, body) = request_of(bytes);
        let events = match read(&headers, &body, None) {
            Ok(RequestContent::One(event)) => vec![event],
            Ok(RequestContent::Batch(events)) => events.into_iter().flatten().collect(),
            Ok(RequestContent::Plain(_)) => return Ok(()),
            Err(problem) => {
                prop_assert!(!problem.text().is_empty() && problem.status().is_client_error());
                return Ok(());
            }
        };
        for event in events {
            let headers = event.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice()))).collect();
            let mut arena = Vec::new();
            let record = RawFields {
                topic: "t",
                partition: 0,
                offset: 0,
                timestamp_ms: None,
                key: event.key.as_deref(),
                value: event.value.as_deref(),
                headers: &headers,
            };
            let decoded = decode(&mut arena, &record);
            prop_assert_eq!(decoded.undecodable, None);
            let flat = &arena[decoded.flat.start as usize..decoded.flat.end as usize];
            let record = millstream_flat::Record::parse(flat, "test").unwrap();
            prop_assert!(record.is_cloudevent());
            for (name, value) in record.extensions() {
                prop_assert!(!name.starts_with("millstream"), "{}", name);
                prop_assert_eq!(attribute::forbidden(value), None);
            }
        }
        Ok(())
    });
}
