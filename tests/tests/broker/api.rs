//! Calls, events, logs and revisions over HTTP and from the command line, with Kafka behind them.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use millstream_tests::cli::{self, CliOutput};
use millstream_tests::client::module;
use millstream_tests::fixture::HostFixture;
use millstream_tests::host::binary;
use millstream_tests::{PROGRESS, kcat, wait_until};
use serde_json::Value;

const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");

fn outputs(fixture: &HostFixture) -> Vec<kcat::Record> {
    kcat::read(&fixture.kafka.bootstrap, &fixture.output)
}

#[test]
fn a_function_is_called_and_its_emissions_are_published_when_asked() {
    let fixture = HostFixture::new("invoke", 1);
    fixture.deploy("uppercase", "");
    let client = &fixture.host.client;
    let path = format!("/v1/functions/{}/invoke", fixture.name);

    let (status, answer) = client.send("POST", &path, &[], "hello");
    assert_eq!((status, &answer["outcome"], &answer["start"]), (200, &"emitted".into(), &"cold".into()), "{answer}");
    assert_eq!(answer["emissions"][0]["output"], "default", "{answer}");
    assert_eq!(answer["published"], false);
    let (_, answer) = client.send("POST", &path, &[], "hello");
    assert_eq!(answer["start"], "hot", "{answer}");
    assert!(outputs(&fixture).is_empty(), "publishing was not requested");

    let event = r#"{"specversion":"1.0","id":"7","source":"/shop","type":"bid","partitionkey":"lot-7","data":"sold"}"#;
    let publish = format!("{path}?publish=true");
    let keyed = [STRUCTURED, ("idempotency-key", "one")];
    let (status, first) = client.send("POST", &publish, &keyed, event);
    assert_eq!((status, &first["published"]), (200, &true.into()), "{first}");
    let written = outputs(&fixture);
    assert_eq!((written.len(), written[0].key_text()), (1, "lot-7"), "{written:?}");
    assert_eq!(first["emissions"][0]["written"]["offset"], written[0].offset);
    assert!(written[0].header("ce_millstreamfunction").is_some_and(|stamp| stamp.ends_with("@1")), "{written:?}");

    let (_, again) = client.send("POST", &publish, &keyed, event);
    assert_eq!(again, first, "the same key is the same call");
    assert_eq!(outputs(&fixture).len(), 1);
    let (status, refused) = client.send("POST", &publish, &keyed, &event.replace("sold", "lost"));
    assert_eq!(status, 422, "another body under the same key: {refused}");

    let CliOutput { code, stdout, stderr } =
        cli::run(&fixture.host, &["invoke", &fixture.name, "--data", "hi", "--key", "k", "--publish"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with(&format!("default  key=k  {}/0/", fixture.output)) && stdout.contains("HI"), "{stdout}");
}

#[test]
fn what_a_function_makes_of_an_event_is_data() {
    let fixture = HostFixture::new("outcomes", 1);
    fixture.deploy("faults", "[limits]\ntimeout = \"200ms\"");
    let client = &fixture.host.client;
    let path = format!("/v1/functions/{}/invoke", fixture.name);
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
    let CliOutput { code, stderr, .. } = cli::run(&fixture.host, &["invoke", &fixture.name, "--data", "reject"]);
    assert!(code == Some(1) && stderr.contains("told to give up"), "{code:?}: {stderr}");
    let CliOutput { code, stderr, .. } =
        cli::run(&fixture.host, &["invoke", &format!("{}x", fixture.name), "--data", "ok"]);
    assert!(code == Some(3) && stderr.contains("did you mean"), "{code:?}: {stderr}");
    // A batch: each event is answered separately, also the invalid one.
    let batch = r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/plain","data":"ok"},{"id":"2"}]"#;
    let (status, answer) = client.send("POST", &path, &[("content-type", "application/cloudevents-batch+json")], batch);
    let outcomes: Vec<_> = (0..2).map(|index| answer["results"][index]["outcome"].as_str().unwrap_or("none")).collect();
    assert_eq!((status, outcomes), (200, vec!["emitted", "undecodable"]), "{answer}");
}

#[test]
fn events_are_in_kafka_when_the_answer_comes() {
    let fixture = HostFixture::new("publish", 3);
    let client = &fixture.host.client;
    let path = format!("/v1/topics/{}/events", fixture.input);
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("ce-partitionkey", "k"),
        ("content-type", "text/plain"),
    ];
    let (status, answer) = client.send("POST", &path, &binary, "a");
    assert_eq!((status, answer["topic"].as_str()), (202, Some(fixture.input.as_str())), "{answer}");
    let batch = r#"[{"specversion":"1.0","id":"2","source":"/s","type":"t","partitionkey":"k"},{"specversion":"0.3"}]"#;
    let (status, answer) = client.send("POST", &path, &[("content-type", "application/cloudevents-batch+json")], batch);
    assert_eq!(status, 207, "{answer}");
    assert!(
        answer["results"][0]["offset"].is_number() && answer["results"][1]["error"]["code"].is_string(),
        "{answer}"
    );
    let CliOutput { code, stdout, stderr } =
        cli::run(&fixture.host, &["publish", &fixture.input, "--data", "c", "--key", "k"]);
    assert!(code == Some(0) && stdout.starts_with(&format!("{}/", fixture.input)), "{stdout}{stderr}");

    let records = kcat::read(&fixture.kafka.bootstrap, &fixture.input);
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
    assert_eq!(kcat::read(&fixture.kafka.bootstrap, &fixture.input).len(), 3, "what is refused is not written");
}

#[test]
fn logs_are_kept_and_followed() {
    let fixture = HostFixture::new("logged", 1);
    fixture.deploy("faults", "[limits]\nlogs = \"2KiB\"");
    let path = format!("/v1/functions/{}/invoke", fixture.name);
    let (_, answer) = fixture.host.client.send("POST", &path, &[], "logs");
    assert!(answer["logs"].as_array().is_some_and(|lines| !lines.is_empty()), "{answer}");
    let CliOutput { code, stdout, stderr } =
        cli::run(&fixture.host, &["logs", &fixture.name, "--limit", "5", "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!((1..=5).contains(&lines.len()) && lines.iter().all(|line| line["revision"] == 1), "{stdout}");

    let mut follower = Command::new(binary())
        .args(["logs", &fixture.name, "--follow", "--limit", "1", "--host", fixture.host.client.base()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdout = BufReader::new(follower.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the newest line");
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, [("k".to_owned(), "logs".to_owned())]);
    line.clear();
    stdout.read_line(&mut line).expect("a line of the record in Kafka");
    assert!(line.contains("@1 "), "{line}");
    follower.kill().expect("it runs still");
    follower.wait().expect("it ended");
}

#[test]
fn a_rollback_brings_an_earlier_revision_back() {
    let fixture = HostFixture::new("rollback", 1);
    fixture.deploy("uppercase", "");
    fixture.deploy("faults", "");
    let client = &fixture.host.client;
    let send =
        |value: &str| kcat::produce(&fixture.kafka.bootstrap, &fixture.input, [("k".to_owned(), value.to_owned())]);
    send("ok:second");
    wait_until("the second revision runs", PROGRESS, || outputs(&fixture).len() == 1);

    let CliOutput { code, stdout, stderr } = cli::run(&fixture.host, &["rollback", &fixture.name]);
    assert_eq!((code, stdout), (Some(0), format!("{} is at revision 3 now\n", fixture.name)), "{stderr}");
    wait_until("the third revision runs", PROGRESS, || {
        let status = client.status(&fixture.name);
        status["revision"] == 3 && status["state"] == "running"
    });
    send("third");
    wait_until("the first module runs again", PROGRESS, || outputs(&fixture).len() == 2);
    let written = outputs(&fixture);
    assert_eq!((written[0].text(), written[1].text()), ("ok:second", "THIRD"));
    assert_eq!(written[1].header("ce_millstreamfunction"), Some(format!("{}@3", fixture.name).as_str()));

    let revisions: Value =
        serde_json::from_str(&client.get(&format!("/v1/functions/{}/revisions", fixture.name))).expect("JSON");
    let numbers: Vec<_> =
        revisions["revisions"].as_array().expect("a list").iter().map(|one| one["revision"].clone()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(revisions["revisions"][0]["restores"], 1);
    let path = format!("/v1/functions/{}/rollback", fixture.name);
    let (status, answer) = client.send("POST", &path, &[("if-match", "\"2\"")], "");
    assert_eq!(status, 412, "an old tag: {answer}");
    let (status, answer) = client.send("POST", &path, &[], r#"{"revision":9}"#);
    assert_eq!(status, 404, "{answer}");
}

#[test]
fn of_two_changes_at_once_one_wins_and_the_other_is_told() {
    let fixture = HostFixture::new("race", 1);
    fixture.deploy("uppercase", "");
    let manifest = |memory: &str| {
        let (name, input, output) = (&fixture.name, &fixture.input, &fixture.output);
        format!(
            "name = \"{name}\"\ntopics = [\"{input}\"]\noutputs = {{ default = \"{output}\" }}\n[limits]\nmemory = \"{memory}\""
        )
    };
    let (client, name) = (&fixture.host.client, &fixture.name);
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
    let path = format!("/v1/functions/{}/manifest?wait=30s", fixture.name);
    let (status, answer) = client.send("PUT", &path, &[("content-type", "application/toml")], &manifest("96MiB"));
    assert_eq!((status, &answer["revision"]), (200, &3.into()), "{answer}");
    let (_, answer) = client.send("POST", &format!("/v1/functions/{}/invoke", fixture.name), &[], "live");
    assert_eq!((&answer["revision"], &answer["outcome"]), (&3.into(), &"emitted".into()), "{answer}");
}
