//! Calls, events, logs and revisions over HTTP and from the command line, with Kafka behind them.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use millstream_tests::client::module;
use millstream_tests::host::binary;
use millstream_tests::{kcat, wait_until};
use serde_json::Value;

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);
const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");

fn cli(setting: &Setting, words: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(binary())
        .args(words)
        .env("MILLSTREAM_HOST", setting.host.client.base())
        .env_remove("MILLSTREAM_TOKEN")
        .output()
        .expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn outputs(setting: &Setting) -> Vec<kcat::Record> {
    kcat::read(&setting.kafka.bootstrap, &setting.output)
}

#[test]
fn a_function_is_called_and_its_emissions_are_published_when_asked() {
    let setting = Setting::new("invoke", 1);
    setting.deploy("uppercase", "");
    let client = &setting.host.client;
    let path = format!("/v1/functions/{}/invoke", setting.name);

    let (status, answer) = client.send("POST", &path, &[], "hello");
    assert_eq!((status, &answer["outcome"], &answer["start"]), (200, &"emitted".into(), &"cold".into()), "{answer}");
    assert_eq!(answer["emissions"][0]["output"], "default", "{answer}");
    assert_eq!(answer["published"], false);
    let (_, answer) = client.send("POST", &path, &[], "hello");
    assert_eq!(answer["start"], "hot", "{answer}");
    assert!(outputs(&setting).is_empty(), "nobody asked for it to be written");

    let event = r#"{"specversion":"1.0","id":"7","source":"/shop","type":"bid","partitionkey":"lot-7","data":"sold"}"#;
    let publish = format!("{path}?publish=true");
    let keyed = [STRUCTURED, ("idempotency-key", "one")];
    let (status, first) = client.send("POST", &publish, &keyed, event);
    assert_eq!((status, &first["published"]), (200, &true.into()), "{first}");
    let written = outputs(&setting);
    assert_eq!((written.len(), written[0].key_text()), (1, "lot-7"), "{written:?}");
    assert_eq!(first["emissions"][0]["written"]["offset"], written[0].offset);
    assert!(written[0].header("ce_millstreamfunction").is_some_and(|stamp| stamp.ends_with("@1")), "{written:?}");

    let (_, again) = client.send("POST", &publish, &keyed, event);
    assert_eq!(again, first, "the same key is the same call");
    assert_eq!(outputs(&setting).len(), 1);
    let (status, refused) = client.send("POST", &publish, &keyed, &event.replace("sold", "lost"));
    assert_eq!(status, 422, "another body under the same key: {refused}");

    let (code, printed, told) = cli(&setting, &["invoke", &setting.name, "--data", "hi", "--key", "k", "--publish"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        printed.starts_with(&format!("default  key=k  {}/0/", setting.output)) && printed.contains("HI"),
        "{printed}"
    );
}

#[test]
fn what_a_function_makes_of_an_event_is_data() {
    let setting = Setting::new("outcomes", 1);
    setting.deploy("faults", "[limits]\ntimeout = \"200ms\"");
    let client = &setting.host.client;
    let path = format!("/v1/functions/{}/invoke", setting.name);
    for (command, outcome) in [
        ("reject", "reject"),
        ("retry", "retry"),
        ("trap", "trap"),
        ("loop", "timeout"),
        ("unknown-output", "unknown-output"),
    ] {
        let (status, answer) = client.send("POST", &path, &[], command);
        assert_eq!((status, answer["outcome"].as_str()), (200, Some(outcome)), "{answer}");
        assert!(answer["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
    }
    let (code, _, told) = cli(&setting, &["invoke", &setting.name, "--data", "reject"]);
    assert!(code == Some(1) && told.contains("told to give up"), "{code:?}: {told}");
    let (code, _, told) = cli(&setting, &["invoke", &format!("{}x", setting.name), "--data", "ok"]);
    assert!(code == Some(3) && told.contains("did you mean"), "{code:?}: {told}");
    // A batch: each event for itself, also the one that is none.
    let batch = r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/plain","data":"ok"},{"id":"2"}]"#;
    let (status, answer) = client.send("POST", &path, &[("content-type", "application/cloudevents-batch+json")], batch);
    let outcomes: Vec<_> = (0..2).map(|index| answer["results"][index]["outcome"].as_str().unwrap_or("none")).collect();
    assert_eq!((status, outcomes), (200, vec!["emitted", "undecodable"]), "{answer}");
}

#[test]
fn events_are_in_kafka_when_the_answer_comes() {
    let setting = Setting::new("publish", 3);
    let client = &setting.host.client;
    let path = format!("/v1/topics/{}/events", setting.input);
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("ce-partitionkey", "k"),
        ("content-type", "text/plain"),
    ];
    let (status, answer) = client.send("POST", &path, &binary, "a");
    assert_eq!((status, answer["topic"].as_str()), (202, Some(setting.input.as_str())), "{answer}");
    let batch = r#"[{"specversion":"1.0","id":"2","source":"/s","type":"t","partitionkey":"k"},{"specversion":"0.3"}]"#;
    let (status, answer) = client.send("POST", &path, &[("content-type", "application/cloudevents-batch+json")], batch);
    assert_eq!(status, 207, "{answer}");
    assert!(
        answer["results"][0]["offset"].is_number() && answer["results"][1]["error"]["code"].is_string(),
        "{answer}"
    );
    let (code, printed, told) = cli(&setting, &["publish", &setting.input, "--data", "c", "--key", "k"]);
    assert!(code == Some(0) && printed.starts_with(&format!("{}/", setting.input)), "{printed}{told}");

    let records = kcat::read(&setting.kafka.bootstrap, &setting.input);
    assert_eq!(records.len(), 3, "{records:?}");
    assert!(records.iter().all(|record| record.key_text() == "k" && record.partition == records[0].partition));
    assert_eq!(records[0].header("ce_type"), Some("t"));
    assert!(records[1].header("content-type").is_some_and(|text| text.starts_with("application/cloudevents+json")));

    for (headers, body, wanted) in [
        (vec![("ce-specversion", "1.0"), ("ce-id", "1")], "x", 400),
        (vec![("ce-specversion", "1.0"), ("ce-id", "a%0D%0Ab"), ("ce-source", "/s"), ("ce-type", "t")], "x", 400),
        (
            vec![
                ("ce-specversion", "1.0"),
                ("ce-id", "1"),
                ("ce-source", "/s"),
                ("ce-type", "t"),
                ("ce-millstreamcause", "x"),
            ],
            "x",
            400,
        ),
        (vec![STRUCTURED], "{", 400),
        (vec![("content-type", "application/cloudevents+avro")], "x", 415),
    ] {
        let (status, answer) = client.send("POST", &path, &headers, body);
        assert_eq!(status, wanted, "{headers:?}: {answer}");
    }
    let (status, answer) = client.send("POST", "/v1/topics/no-such-topic/events", &[], "x");
    assert_eq!(status, 404, "{answer}");
    assert_eq!(kcat::read(&setting.kafka.bootstrap, &setting.input).len(), 3, "what is refused is not written");
}

#[test]
fn logs_are_kept_and_followed() {
    let setting = Setting::new("logged", 1);
    setting.deploy("faults", "[limits]\nlogs = \"2KiB\"");
    let path = format!("/v1/functions/{}/invoke", setting.name);
    let (_, answer) = setting.host.client.send("POST", &path, &[], "logs");
    assert!(answer["logs"].as_array().is_some_and(|lines| !lines.is_empty()), "{answer}");
    let (code, printed, told) = cli(&setting, &["logs", &setting.name, "--limit", "5", "--json"]);
    assert_eq!(code, Some(0), "{told}");
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!((1..=5).contains(&lines.len()) && lines.iter().all(|line| line["revision"] == 1), "{printed}");

    let mut follower = Command::new(binary())
        .args(["logs", &setting.name, "--follow", "--limit", "1", "--host", setting.host.client.base()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdout = BufReader::new(follower.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the newest line");
    kcat::produce(&setting.kafka.bootstrap, &setting.input, [("k".to_owned(), "logs".to_owned())]);
    line.clear();
    stdout.read_line(&mut line).expect("a line of the record in Kafka");
    assert!(line.contains("@1 "), "{line}");
    follower.kill().expect("it runs still");
    follower.wait().expect("it ended");
}

#[test]
fn a_rollback_brings_an_earlier_revision_back() {
    let setting = Setting::new("rollback", 1);
    setting.deploy("uppercase", "");
    setting.deploy("faults", "");
    let client = &setting.host.client;
    let send =
        |value: &str| kcat::produce(&setting.kafka.bootstrap, &setting.input, [("k".to_owned(), value.to_owned())]);
    send("ok:second");
    wait_until("the second revision runs", LONG, || outputs(&setting).len() == 1);

    let (code, printed, told) = cli(&setting, &["rollback", &setting.name]);
    assert_eq!((code, printed), (Some(0), format!("{} is at revision 3 now\n", setting.name)), "{told}");
    wait_until("the third revision runs", LONG, || {
        let status = client.status(&setting.name);
        status["revision"] == 3 && status["state"] == "running"
    });
    send("third");
    wait_until("the first module runs again", LONG, || outputs(&setting).len() == 2);
    let written = outputs(&setting);
    assert_eq!((written[0].text(), written[1].text()), ("ok:second", "THIRD"));
    assert_eq!(written[1].header("ce_millstreamfunction"), Some(format!("{}@3", setting.name).as_str()));

    let revisions: Value =
        serde_json::from_str(&client.get(&format!("/v1/functions/{}/revisions", setting.name))).expect("JSON");
    let numbers: Vec<_> =
        revisions["revisions"].as_array().expect("a list").iter().map(|one| one["revision"].clone()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(revisions["revisions"][0]["restores"], 1);
    let path = format!("/v1/functions/{}/rollback", setting.name);
    let (status, answer) = client.send("POST", &path, &[("if-match", "\"2\"")], "");
    assert_eq!(status, 412, "an old tag: {answer}");
    let (status, answer) = client.send("POST", &path, &[], r#"{"revision":9}"#);
    assert_eq!(status, 404, "{answer}");
}

#[test]
fn of_two_changes_at_once_one_wins_and_the_other_is_told() {
    let setting = Setting::new("race", 1);
    setting.deploy("uppercase", "");
    let manifest = |memory: &str| {
        let (name, input, output) = (&setting.name, &setting.input, &setting.output);
        format!(
            "name = \"{name}\"\ntopics = [\"{input}\"]\noutputs = {{ default = \"{output}\" }}\n[limits]\nmemory = \"{memory}\""
        )
    };
    let (client, name) = (&setting.host.client, &setting.name);
    let mut statuses = std::thread::scope(|scope| {
        let deploys = ["64MiB", "32MiB"].map(|memory| {
            let manifest = manifest(memory);
            scope.spawn(move || client.put_if(name, &manifest, module("uppercase"), "\"1\"").0)
        });
        deploys.map(|deploy| deploy.join().expect("an answer"))
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);

    // A change of the manifest alone needs no module.
    let path = format!("/v1/functions/{}/manifest?wait=30s", setting.name);
    let (status, answer) = client.send("PUT", &path, &[("content-type", "application/toml")], &manifest("96MiB"));
    assert_eq!((status, &answer["revision"]), (200, &3.into()), "{answer}");
    let (_, answer) = client.send("POST", &format!("/v1/functions/{}/invoke", setting.name), &[], "live");
    assert_eq!((&answer["revision"], &answer["outcome"]), (&3.into(), &"emitted".into()), "{answer}");
}
