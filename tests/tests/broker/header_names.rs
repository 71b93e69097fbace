//! Records with headers whose names are not UTF-8: Kafka allows any bytes there.

use millstream_tests::fixture::HostFixture;
use millstream_tests::raw_records::{self, RawHeader};
use millstream_tests::{PROGRESS, cli, root, wait_until};
use serde_json::{Value, json};

const RETRY: &str = "[retry]\nmax_attempts = 1\n";

/// The headers of an event, with others between them that no text can name.
fn headers(id: &str) -> Vec<RawHeader> {
    let event = [("ce_specversion", "1.0"), ("ce_id", id), ("ce_source", "/shop"), ("ce_type", "order.placed")];
    let mut headers: Vec<RawHeader> =
        event.into_iter().map(|(name, value)| (name.into(), Some(value.as_bytes().to_vec()))).collect();
    headers.insert(1, (b"caf\xe9".to_vec(), Some(b"\xff\x00".to_vec())));
    headers.insert(3, (b"ce_\xc3".to_vec(), Some(b"no attribute".to_vec())));
    headers.push((b"\xff\xfe".to_vec(), None));
    headers.push((b"color".to_vec(), Some(b"red".to_vec())));
    headers
}

/// The headers of a dead letter's record, and those that the host added.
fn split(letter: &raw_records::RawRecord) -> (Vec<RawHeader>, Vec<RawHeader>) {
    letter.headers.iter().cloned().partition(|(name, _)| !name.starts_with(b"millstream-"))
}

#[track_caller]
fn redrive(fixture: &HostFixture, offset: i64) -> Value {
    let path = format!("/v1/functions/{}/dead-letters/redrive", fixture.name);
    let order = json!({ "letters": [{ "partition": 0, "offset": offset }] });
    let (status, answer) = fixture.host.client.send("POST", &path, &[], &order.to_string());
    assert_eq!(status, 200, "{answer}");
    answer
}

#[track_caller]
fn lineage(fixture: &HostFixture, topic: &str, offset: i64) -> Value {
    let (status, answer) =
        fixture.host.client.ask(&format!("/v1/lineage?topic={topic}&partition=0&offset={offset}&whole=true"));
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn a_dead_letter_has_all_headers_and_its_redrive_runs_the_whole_record() {
    let fixture = HostFixture::new("names", 1);
    let bootstrap = &fixture.kafka.bootstrap;
    fixture.kafka.create_topic(&fixture.dead(), 1);
    fixture.kafka.create_topic(&fixture.output, 1);
    raw_records::produce(bootstrap, &fixture.input, "k", b"reject", &headers("7"));
    fixture.deploy("faults", RETRY);
    let letter = raw_records::read(bootstrap, &fixture.dead(), 1, PROGRESS).remove(0);
    let (of_record, of_host) = split(&letter);
    assert_eq!(of_record, headers("7"), "byte for byte");
    let class = of_host.iter().find(|(name, _)| name == b"millstream-error-class");
    assert_eq!(class.and_then(|(_, value)| value.as_deref()), Some(&b"reject"[..]), "the guest saw the record");

    let shown: Value =
        serde_json::from_str(&fixture.host.client.get(&format!("/v1/functions/{}/dead-letters/0/0", fixture.name)))
            .expect("JSON");
    let shown = &shown["headers"][1];
    assert_eq!(
        (shown["name"].as_str(), shown["name_base64"].as_str()),
        (Some("caf\\xe9"), Some("Y2Fm6Q==")),
        "{shown}"
    );
    let printed = cli::succeed(&fixture.host, &["dlq", "show", &fixture.name, "0/0"]);
    assert!(printed.contains("xe9: /wA= (base64)") && printed.contains("color: red"), "{printed}");

    // It fails again: the letter of the letter is as whole.
    assert_eq!(redrive(&fixture, 0)["failed"], 1);
    let again = raw_records::read(bootstrap, &fixture.dead(), 2, PROGRESS).remove(1);
    assert_eq!(split(&again).0, headers("7"));

    fixture.deploy("pass-on", RETRY);
    assert_eq!(redrive(&fixture, again.offset)["emitted"], 1);
    let emitted = raw_records::read(bootstrap, &fixture.output, 1, PROGRESS).remove(0);
    let header = |name: &str| {
        let found = emitted.headers.iter().find(|(found, _)| found == name.as_bytes());
        found.and_then(|(_, value)| String::from_utf8(value.clone()?).ok())
    };
    assert_eq!(header("ce_type").as_deref(), Some("order.placed"), "the record was an event: {emitted:?}");
    assert_eq!(emitted.value.as_deref(), Some(&b"reject"[..]));

    // Lineage reads all three topics.
    let whole = lineage(&fixture, &fixture.input, 0);
    assert_eq!(whole["root"]["type"], "order.placed", "{whole}");
    let text = whole.to_string();
    assert!(text.contains(&fixture.dead()) && text.contains(&fixture.output), "{whole}");
}

#[test]
fn lineage_replays_and_shadows_read_such_records() {
    let fixture = HostFixture::new("names", 1);
    let bootstrap = &fixture.kafka.bootstrap;
    fixture.kafka.create_topic(&fixture.output, 1);
    fixture.deploy("pass-on", RETRY);
    raw_records::produce(bootstrap, &fixture.input, "k", b"1", &headers("1"));
    raw_records::read(bootstrap, &fixture.output, 1, PROGRESS);
    // Another program writes to the output too.
    raw_records::produce(bootstrap, &fixture.output, "k", b"2", &headers("2"));

    let whole = lineage(&fixture, &fixture.input, 0);
    assert_eq!(whole["root"]["effects"].as_array().map(Vec::len), Some(1), "{whole}");
    let foreign = lineage(&fixture, &fixture.output, 1);
    assert_eq!((&foreign["root"]["id"], &foreign["root"]["kind"]), (&"2".into(), &"event".into()), "{foreign}");
    let place = format!("{}/0/1", fixture.output);
    assert!(cli::succeed(&fixture.host, &["trace", &place]).contains("order.placed"));

    let ended = |lines: &str| -> Value {
        lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).next_back().expect("a line")
    };
    let subject = format!("{}@1", fixture.name);
    let replayed = ended(&cli::succeed(&fixture.host, &["replay", "--json", &subject, "--topic", &fixture.input]));
    assert_eq!((&replayed["records"], &replayed["same"]), (&1.into(), &1.into()), "{replayed}");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("millstream.toml");
    let manifest = fixture.manifest("[retry]\nmax_attempts = 2\n");
    std::fs::write(&file, format!("name = \"{}\"\n{manifest}", fixture.name)).expect("written");
    let module = root().join("examples/target/wasm32-wasip2/release/pass_on.wasm");
    let (file, module) = (file.to_string_lossy().into_owned(), module.to_string_lossy().into_owned());
    cli::succeed(&fixture.host, &["deploy", "--manifest", &file, "--module", &module, "--shadow"]);
    let path = format!("/v1/functions/{}/shadow", fixture.name);
    let report = || serde_json::from_str::<Value>(&fixture.host.client.get(&path)).expect("JSON");
    raw_records::produce(bootstrap, &fixture.input, "k", b"3", &headers("3"));
    wait_until("the record is compared", PROGRESS, || report()["records"] == 1);
    let report = report();
    assert_eq!((&report["same"], &report["skipped"]), (&1.into(), &0.into()), "{report}");
}
