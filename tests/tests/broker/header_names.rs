//! Records with headers whose names are not UTF-8: Kafka allows any bytes there.

use std::process::Command;
use std::time::Duration;

use millstream_tests::host::{Host, binary};
use millstream_tests::raw_records::{self, RawHeader};
use millstream_tests::{root, wait_until};
use serde_json::{Value, json};

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);
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

#[track_caller]
fn cli(host: &Host, words: &[&str]) -> String {
    let command = Command::new(binary()).args(words).env("MILLSTREAM_HOST", host.client.base()).output();
    let output = command.expect("the binary runs");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The headers of a dead letter's record, and those that the host added.
fn split(letter: &raw_records::RawRecord) -> (Vec<RawHeader>, Vec<RawHeader>) {
    letter.headers.iter().cloned().partition(|(name, _)| !name.starts_with(b"millstream-"))
}

#[track_caller]
fn redrive(setting: &Setting, offset: i64) -> Value {
    let path = format!("/v1/functions/{}/dead-letters/redrive", setting.name);
    let order = json!({ "letters": [{ "partition": 0, "offset": offset }] });
    let (status, answer) = setting.host.client.send("POST", &path, &[], &order.to_string());
    assert_eq!(status, 200, "{answer}");
    answer
}

#[track_caller]
fn lineage(setting: &Setting, topic: &str, offset: i64) -> Value {
    let (status, answer) =
        setting.host.client.ask(&format!("/v1/lineage?topic={topic}&partition=0&offset={offset}&whole=true"));
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn a_dead_letter_has_all_headers_and_its_redrive_runs_the_whole_record() {
    let setting = Setting::new("names", 1);
    let bootstrap = &setting.kafka.bootstrap;
    setting.kafka.create_topic(&setting.dead(), 1);
    setting.kafka.create_topic(&setting.output, 1);
    raw_records::produce(bootstrap, &setting.input, "k", b"reject", &headers("7"));
    setting.deploy("faults", RETRY);
    let letter = raw_records::read(bootstrap, &setting.dead(), 1, LONG).remove(0);
    let (of_record, of_host) = split(&letter);
    assert_eq!(of_record, headers("7"), "byte for byte");
    let class = of_host.iter().find(|(name, _)| name == b"millstream-error-class");
    assert_eq!(class.and_then(|(_, value)| value.as_deref()), Some(&b"reject"[..]), "the guest saw the record");

    let shown: Value =
        serde_json::from_str(&setting.host.client.get(&format!("/v1/functions/{}/dead-letters/0/0", setting.name)))
            .expect("JSON");
    let shown = &shown["headers"][1];
    assert_eq!(
        (shown["name"].as_str(), shown["name_base64"].as_str()),
        (Some("caf\\xe9"), Some("Y2Fm6Q==")),
        "{shown}"
    );
    let printed = cli(&setting.host, &["dlq", "show", &setting.name, "0/0"]);
    assert!(printed.contains("xe9: /wA= (base64)") && printed.contains("color: red"), "{printed}");

    // It fails again: the letter of the letter is as whole.
    assert_eq!(redrive(&setting, 0)["failed"], 1);
    let again = raw_records::read(bootstrap, &setting.dead(), 2, LONG).remove(1);
    assert_eq!(split(&again).0, headers("7"));

    setting.deploy("pass-on", RETRY);
    assert_eq!(redrive(&setting, again.offset)["emitted"], 1);
    let emitted = raw_records::read(bootstrap, &setting.output, 1, LONG).remove(0);
    let header = |name: &str| {
        let found = emitted.headers.iter().find(|(found, _)| found == name.as_bytes());
        found.and_then(|(_, value)| String::from_utf8(value.clone()?).ok())
    };
    assert_eq!(header("ce_type").as_deref(), Some("order.placed"), "the record was an event: {emitted:?}");
    assert_eq!(emitted.value.as_deref(), Some(&b"reject"[..]));

    // Lineage reads all three topics.
    let whole = lineage(&setting, &setting.input, 0);
    assert_eq!(whole["root"]["type"], "order.placed", "{whole}");
    let text = whole.to_string();
    assert!(text.contains(&setting.dead()) && text.contains(&setting.output), "{whole}");
}

#[test]
fn lineage_replays_and_shadows_read_such_records() {
    let setting = Setting::new("names", 1);
    let bootstrap = &setting.kafka.bootstrap;
    setting.kafka.create_topic(&setting.output, 1);
    setting.deploy("pass-on", RETRY);
    raw_records::produce(bootstrap, &setting.input, "k", b"1", &headers("1"));
    raw_records::read(bootstrap, &setting.output, 1, LONG);
    // Another program writes to the output too.
    raw_records::produce(bootstrap, &setting.output, "k", b"2", &headers("2"));

    let whole = lineage(&setting, &setting.input, 0);
    assert_eq!(whole["root"]["effects"].as_array().map(Vec::len), Some(1), "{whole}");
    let foreign = lineage(&setting, &setting.output, 1);
    assert_eq!((&foreign["root"]["id"], &foreign["root"]["kind"]), (&"2".into(), &"event".into()), "{foreign}");
    let place = format!("{}/0/1", setting.output);
    assert!(cli(&setting.host, &["trace", &place]).contains("order.placed"));

    let ended = |lines: &str| -> Value {
        lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).last().expect("a line")
    };
    let subject = format!("{}@1", setting.name);
    let replayed = ended(&cli(&setting.host, &["replay", "--json", &subject, "--topic", &setting.input]));
    assert_eq!((&replayed["records"], &replayed["same"]), (&1.into(), &1.into()), "{replayed}");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("millstream.toml");
    let manifest = setting.manifest("[retry]\nmax_attempts = 2\n");
    std::fs::write(&file, format!("name = \"{}\"\n{manifest}", setting.name)).expect("written");
    let module = root().join("examples/target/wasm32-wasip2/release/pass_on.wasm");
    let (file, module) = (file.to_string_lossy().into_owned(), module.to_string_lossy().into_owned());
    cli(&setting.host, &["deploy", "--manifest", &file, "--module", &module, "--shadow"]);
    let path = format!("/v1/functions/{}/shadow", setting.name);
    let report = || serde_json::from_str::<Value>(&setting.host.client.get(&path)).expect("JSON");
    raw_records::produce(bootstrap, &setting.input, "k", b"3", &headers("3"));
    wait_until("the record is compared", LONG, || report()["records"] == 1);
    let report = report();
    assert_eq!((&report["same"], &report["skipped"]), (&1.into(), &0.into()), "{report}");
}
