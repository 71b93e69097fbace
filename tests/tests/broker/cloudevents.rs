//! CloudEvents in and out, and bytes that stay bytes.

use millstream_tests::fixture::HostFixture;
use millstream_tests::{PROGRESS, kcat};

#[test]
fn keys_values_and_headers_survive_unchanged() {
    let fixture = HostFixture::new("bytes", 1);
    let bytes: Vec<u8> = (0..=255).collect();
    let upper: Vec<u8> = bytes.to_ascii_uppercase();
    kcat::produce_one(
        &fixture.kafka.bootstrap,
        &fixture.input,
        Some("k\u{1}\u{7f}é"),
        &[("h", "1"), ("h", "2")],
        &bytes,
    );
    fixture.deploy("uppercase", "");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
    assert_eq!(outputs[0].value.as_deref(), Some(&upper[..]));
    assert_eq!(outputs[0].key_text(), "k\u{1}\u{7f}é");
    let header = |name: &str| outputs[0].header(name).map(str::to_owned);
    assert_eq!(header("ce_specversion").as_deref(), Some("1.0"));
    assert_eq!(header("ce_millstreamcause"), Some(format!("{}/0/0", fixture.input)));
    assert_eq!(header("ce_millstreamfunction"), Some(format!("{}@1", fixture.name)));
    assert!(header("traceparent").is_some_and(|trace| trace.starts_with("00-")));
    assert!(header("ce_id").is_some() && header("ce_source").is_some() && header("ce_type").is_some());
}

#[test]
fn binary_and_structured_events_are_read_and_broken_ones_are_dead_letters() {
    let fixture = HostFixture::new("modes", 1);
    let bootstrap = &fixture.kafka.bootstrap;
    let structured = [("content-type", "application/cloudevents+json")];
    let event =
        br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/plain","data":"hello"}"#;
    kcat::produce_one(bootstrap, &fixture.input, Some("structured"), &structured, event);
    let binary = [("ce_specversion", "1.0"), ("ce_id", "2"), ("ce_source", "/s"), ("ce_type", "t")];
    kcat::produce_one(bootstrap, &fixture.input, Some("binary"), &binary, b"world");
    kcat::produce_one(bootstrap, &fixture.input, Some("broken"), &structured, br#"{"specversion":"1.0","id":"#);
    kcat::produce_one(bootstrap, &fixture.input, Some("incomplete"), &binary[..2], b"x");
    kcat::produce_one(bootstrap, &fixture.input, Some("plain"), &[], b"plain");
    fixture.deploy("uppercase", "");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let outputs = kcat::read(bootstrap, &fixture.output);
    let mut texts: Vec<_> = outputs.iter().map(|record| record.text().to_owned()).collect();
    texts.sort();
    assert_eq!(texts, ["HELLO", "PLAIN", "WORLD"]);
    let dead = kcat::read(bootstrap, &fixture.dead());
    let mut keys: Vec<_> = dead.iter().map(|letter| letter.key_text().to_owned()).collect();
    keys.sort();
    assert_eq!(keys, ["broken", "incomplete"]);
    for letter in &dead {
        assert_eq!(letter.header("millstream-error-class"), Some("undecodable"));
        assert_eq!(letter.header("millstream-attempts"), Some("1"));
    }
    let broken = dead.iter().find(|letter| letter.key_text() == "broken").expect("it is there");
    assert_eq!(broken.text(), r#"{"specversion":"1.0","id":"#, "the value is as it was");
}

#[test]
fn structured_output_is_json_and_raw_output_is_bare() {
    for format in ["structured", "raw"] {
        let fixture = HostFixture::new(format, 1);
        kcat::produce_one(&fixture.kafka.bootstrap, &fixture.input, Some("k"), &[], b"hello");
        let manifest = format!(
            "topics = [\"{}\"]\ninitial_offset = \"earliest\"\noutputs = {{ default = {{ topic = \"{}\", format = \"{format}\" }} }}",
            fixture.input, fixture.output
        );
        fixture.host.client.deploy(&fixture.name, "uppercase", &manifest);
        fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
        let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
        if format == "raw" {
            assert_eq!((outputs[0].text(), outputs[0].headers.len()), ("HELLO", 0));
            continue;
        }
        let event: serde_json::Value = serde_json::from_str(outputs[0].text()).expect("JSON");
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["millstreamcause"], format!("{}/0/0", fixture.input));
        assert!(outputs[0].header("content-type").is_some_and(|kind| kind.starts_with("application/cloudevents+json")));
    }
}

#[test]
fn filters_keep_records_from_the_guest() {
    let fixture = HostFixture::new("filters", 1);
    for kind in ["bid.placed", "bid.withdrawn", "item.placed"] {
        let headers = [("ce_specversion", "1.0"), ("ce_id", "1"), ("ce_source", "/s"), ("ce_type", kind)];
        kcat::produce_one(&fixture.kafka.bootstrap, &fixture.input, None, &headers, kind.as_bytes());
    }
    fixture.deploy(
        "uppercase",
        "[[filters]]\nprefix = { type = \"bid.\" }\n[[filters]]\nnot = { suffix = { type = \".withdrawn\" } }\n",
    );
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
    assert_eq!(outputs.iter().map(|record| record.text()).collect::<Vec<_>>(), ["BID.PLACED"]);
    assert_eq!(fixture.host.client.counter(&fixture.name, "filtered"), 2);
}
