//! Dead letters: list, show, edit and redrive.

use millstream_tests::fixture::HostFixture;
use millstream_tests::host::Host;
use millstream_tests::{PROGRESS, cli, kcat, wait_until};
use serde_json::{Value, json};

const RETRY: &str = "[retry]\nmax_attempts = 1\n";

fn list(fixture: &HostFixture, query: &str) -> Value {
    let path = format!("/v1/functions/{}/dead-letters{query}", fixture.name);
    serde_json::from_str(&fixture.host.client.get(&path)).expect("JSON")
}

#[track_caller]
fn redrive(host: &Host, name: &str, order: &Value) -> Value {
    let path = format!("/v1/functions/{name}/dead-letters/redrive");
    let (status, answer) = host.client.send("POST", &path, &[], &order.to_string());
    assert_eq!(status, 200, "{order}: {answer}");
    answer
}

/// Writes `records` that `faults` dead-letters, by key and value.
fn dead_lettered(stem: &str, more: &str, records: &[(&str, &str)]) -> HostFixture {
    let fixture = HostFixture::new(stem, 3);
    let records: Vec<_> = records.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let count = records.len();
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, records);
    fixture.deploy("faults", &format!("ordering = \"key\"\nconcurrency = 4\n{more}{RETRY}"));
    kcat::read_at_least(&fixture.kafka.bootstrap, &fixture.dead(), count, PROGRESS);
    fixture
}

#[test]
fn dead_letters_are_listed_and_shown() {
    let fixture =
        dead_lettered("letters", "", &[("a", "trap"), ("b", "reject"), ("c", "retry"), ("d", "unknown-output")]);
    let all = list(&fixture, "");
    let letters = all["letters"].as_array().expect("a list");
    assert_eq!((letters.len(), all["topic"].as_str(), &all["older"]), (4, Some(fixture.dead().as_str()), &Value::Null));
    let times: Vec<_> = letters.iter().map(|letter| letter["time"].as_str().expect("a time")).collect();
    assert!(times.windows(2).all(|pair| pair[0] >= pair[1]), "the newest first: {times:?}");
    let trap = letters.iter().find(|letter| letter["class"] == "trap").expect("the trap");
    assert_eq!((&trap["key"], &trap["attempts"], &trap["value_bytes"]), (&"a".into(), &1.into(), &4.into()), "{trap}");
    assert_eq!(trap["source"]["topic"], fixture.input.as_str(), "{trap}");
    assert!(trap["redriven"].is_null() && trap["message"].as_str().is_some_and(|text| text.contains("panicked")));

    // Page by page it is the same.
    let (mut paged, mut query) = (Vec::new(), "?limit=1".to_owned());
    loop {
        let page = list(&fixture, &query);
        paged.extend(page["letters"].as_array().expect("a list").clone());
        match page["older"].as_str() {
            Some(older) => query = format!("?limit=1&from={older}"),
            None => break,
        }
    }
    assert_eq!(paged, *letters);

    let place = format!("{}/{}", trap["partition"], trap["offset"]);
    let shown = cli::succeed(&fixture.host, &["dlq", "show", &fixture.name, &place]);
    assert!(
        shown.contains("trap after 1 attempts") && shown.contains("panicked") && shown.ends_with("trap\n"),
        "{shown}"
    );
    assert_eq!(cli::succeed(&fixture.host, &["dlq", "show", &fixture.name, &place, "--value"]), "trap");
    let listed = cli::succeed(&fixture.host, &["dlq", "list", &fixture.name]);
    assert_eq!(listed.lines().count(), 5, "{listed}");
    let client = &fixture.host.client;
    let path = format!("/v1/functions/{}/dead-letters", fixture.name);
    let (status, answer) = client.send("GET", &format!("{path}/0/999"), &[], "");
    assert_eq!((status, answer["code"].as_str()), (404, Some("MS0231")), "{answer}");
    for wrong in [
        json!({}),
        json!({"all": true, "letters": [{"partition": 0, "offset": 0}]}),
        json!({"all": true, "value": "x"}),
    ] {
        let (status, answer) = client.send("POST", &format!("{path}/redrive"), &[], &wrong.to_string());
        assert_eq!(status, 400, "{wrong}: {answer}");
    }
}

#[test]
fn what_was_mended_is_redriven_once_and_in_order() {
    // Three of one key, so that their order can be seen.
    let records = [("k", "trap:1"), ("k", "trap:2"), ("k", "trap:3"), ("x", "trap:4"), ("y", "trap:5")];
    for guarantee in ["at_least_once", "exactly_once"] {
        let more = format!("processing_guarantee = \"{guarantee}\"\n");
        let fixture = dead_lettered("redriven", &more, &records);
        let before = kcat::read(&fixture.kafka.bootstrap, &fixture.input).len();
        fixture.deploy("uppercase", &format!("ordering = \"key\"\nconcurrency = 4\n{more}{RETRY}"));
        let second = fixture.function.host();

        let done = cli::succeed(&fixture.host, &["dlq", "redrive", &fixture.name, "--all"]);
        assert_eq!(done.lines().filter(|line| line.contains("emitted  1 events")).count(), 5, "{done}");
        let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
        assert_eq!(outputs.len(), 5, "{outputs:?}");
        let of_k: Vec<_> = outputs.iter().filter(|record| record.key_text() == "k").map(kcat::Record::text).collect();
        assert_eq!(of_k, ["TRAP:1", "TRAP:2", "TRAP:3"]);
        let letters = list(&fixture, "");
        for output in &outputs {
            let redriven = output.header("millstream-redriven").expect("the letter's place");
            let place = |letter: &Value| format!("{}/{}/{}", fixture.dead(), letter["partition"], letter["offset"]);
            let letters = letters["letters"].as_array().expect("a list");
            let letter = letters.iter().find(|letter| place(letter) == redriven).expect("it is one of them");
            let source = &letter["source"];
            let cause = format!("{}/{}/{}", fixture.input, source["partition"], source["offset"]);
            assert_eq!(output.header("ce_millstreamcause"), Some(cause.as_str()));
            assert_eq!(
                output.header("ce_id"),
                Some(format!("{}/{cause}/0", fixture.name).as_str()),
                "as in the first place"
            );
            assert_eq!(output.header("ce_millstreamfunction"), Some(format!("{}@2", fixture.name).as_str()));
            assert_eq!(letter["redriven"]["outcome"], "emitted", "{letter}");
        }

        // On no host a second time, unless one insists.
        let again = redrive(&second, &fixture.name, &json!({"all": true}));
        assert_eq!((&again["emitted"], &again["passed_over"]), (&0.into(), &5.into()), "{again}");
        assert_eq!(kcat::read(&fixture.kafka.bootstrap, &fixture.output).len(), 5);
        let one = &letters["letters"][0];
        let order = json!({"letters": [{"partition": one["partition"], "offset": one["offset"]}], "force": true});
        assert_eq!(redrive(&second, &fixture.name, &order)["emitted"], 1);
        assert_eq!(kcat::read(&fixture.kafka.bootstrap, &fixture.output).len(), 6);
        assert_eq!(kcat::read(&fixture.kafka.bootstrap, &fixture.input).len(), before, "nothing is written back");
        second.terminate();
    }
}

#[test]
fn what_fails_again_is_a_new_dead_letter_and_may_be_edited() {
    let fixture = dead_lettered("again", "", &[("k", "reject")]);
    let first = list(&fixture, "")["letters"][0].clone();
    let place = json!({"partition": first["partition"], "offset": first["offset"]});
    let answer = redrive(&fixture.host, &fixture.name, &json!({"letters": [place]}));
    assert_eq!((&answer["failed"], &answer["results"][0]["outcome"]), (&1.into(), &"reject".into()), "{answer}");
    let letters = list(&fixture, "");
    let (new, old) = (&letters["letters"][0], &letters["letters"][1]);
    assert_eq!(old["redriven"]["outcome"], "reject", "{old}");
    assert_eq!((&new["source"], &new["redriven"]), (&old["source"], &Value::Null), "{new}");
    let from = format!("{}/{}/{}", fixture.dead(), old["partition"], old["offset"]);
    assert_eq!(new["redriven_from"], from.as_str());

    // The record is edited; an older revision handles it.
    fixture.deploy("uppercase", &format!("ordering = \"key\"\nconcurrency = 4\n{RETRY}"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("value");
    std::fs::write(&file, "ok:mended").expect("written");
    let place = format!("{}/{}", new["partition"], new["offset"]);
    let file = file.to_str().expect("text");
    let done = cli::succeed(&fixture.host, &["dlq", "redrive", &fixture.name, &place, "--to", "1", "--edit", file]);
    assert!(done.contains("emitted  1 events"), "{done}");
    let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
    assert_eq!((outputs.len(), outputs[0].text()), (1, "ok:mended"));
    assert_eq!(outputs[0].header("ce_millstreamfunction"), Some(format!("{}@1", fixture.name).as_str()));
}

/// A host is killed while guests run, and a second redrive does all of it: nothing is lost, nothing doubled.
#[test]
fn a_redrive_that_is_cut_off_leaves_nothing() {
    let fixture = dead_lettered("cut-off", "", &[("a", "trap"), ("b", "trap"), ("c", "trap")]);
    let name = fixture.name.clone();
    let slow = "ordering = \"key\"\nconcurrency = 1\n[limits]\ntimeout = \"60s\"\n";
    let edit = |value: &str, letter: &Value| json!({"letters": [{"partition": letter["partition"], "offset": letter["offset"]}], "value": value});
    let letters = list(&fixture, "")["letters"].clone();
    fixture.deploy("faults", &format!("{slow}{RETRY}"));
    let started = fixture.host.client.counter(&name, "cold_starts");
    let (base, order) = (fixture.host.client.clone(), edit("sleep", &letters[0]));
    let path = format!("/v1/functions/{name}/dead-letters/redrive");
    let asked = path.clone();
    let caller = std::thread::spawn(move || base.send("POST", &asked, &[], &order.to_string()));
    wait_until("the guest runs", PROGRESS, || fixture.host.client.counter(&name, "cold_starts") > started);
    let HostFixture { host, function } = fixture;
    let folder = host.kill();
    assert!(caller.join().is_err(), "it was cut off");
    let host = Host::start_in(&function.kafka.bootstrap, &name, folder);
    wait_until("the function runs again", PROGRESS, || host.client.status(&name)["state"] == "running");
    for letter in letters.as_array().expect("a list") {
        let answer = redrive(&host, &name, &edit("ok:done", letter));
        assert_eq!(answer["emitted"], 1, "{answer}");
    }
    assert_eq!(kcat::read(&function.kafka.bootstrap, &function.output).len(), 3);
}
