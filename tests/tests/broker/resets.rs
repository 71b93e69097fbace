//! Functions that are sent to another place in their topics, with two hosts. Offsets are asked from Kafka's own tool.

use std::process::Command;
use std::time::Duration;

use millstream_tests::fixture::HostFixture;
use millstream_tests::host::{Host, binary};
use millstream_tests::{PROGRESS, kcat, wait_until};
use serde_json::Value;

/// What `millstream reset` answers, and its exit code.
fn reset(host: &Host, name: &str, words: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = Command::new(binary());
    command.args(["reset", name, "--json"]).args(words).env("MILLSTREAM_HOST", host.client.base());
    let output = command.output().expect("the binary runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), stderr)
}

#[track_caller]
fn must_reset(host: &Host, name: &str, words: &[&str]) -> Value {
    let (code, answer, stderr) = reset(host, name, words);
    assert_eq!(code, Some(0), "{words:?}: {stderr}");
    answer
}

fn committed(fixture: &HostFixture) -> Vec<(i32, i64)> {
    let mut found: Vec<_> =
        fixture.kafka.group(&fixture.group()).iter().map(|place| (place.partition, place.committed)).collect();
    found.sort_unstable();
    found
}

fn outputs(fixture: &HostFixture) -> usize {
    kcat::read_without_headers(&fixture.kafka.bootstrap, &fixture.output).len()
}

/// This moment by RFC 3339.
fn now() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S.%3NZ"]).output().expect("coreutils are there");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Numbered records.
fn produce(fixture: &HostFixture, partition: i32, values: std::ops::Range<usize>) {
    let lines: Vec<_> = values.map(|value| format!("{value}")).collect();
    kcat::produce_to(&fixture.kafka.bootstrap, &fixture.input, partition, &lines);
}

#[test]
fn a_running_function_goes_where_it_is_sent_on_both_hosts() {
    let fixture = HostFixture::new("reset", 2);
    produce(&fixture, 0, 0..300);
    produce(&fixture, 1, 0..500);
    fixture.deploy("uppercase", "");
    let second = fixture.function.host();
    wait_until("each host has one partition", PROGRESS, || {
        fixture.host.client.partitions(&fixture.name) == 1 && second.client.partitions(&fixture.name) == 1
    });
    let all_done = |offsets: &[(i32, i64)]| wait_until("all is done", PROGRESS, || committed(&fixture) == offsets);
    all_done(&[(0, 300), (1, 500)]);
    assert_eq!(outputs(&fixture), 800);

    let dry = must_reset(&second, &fixture.name, &["--to", "earliest", "--dry-run"]);
    assert_eq!((&dry["again"], &dry["skipped"], &dry["dry_run"]), (&800.into(), &0.into(), &true.into()), "{dry}");
    assert_eq!(dry["partitions"][1]["from"], 500, "{dry}");
    assert_eq!(committed(&fixture), [(0, 300), (1, 500)], "nothing was done");

    let done = must_reset(&second, &fixture.name, &["--to", "120", "--partition", "1"]);
    assert_eq!(done["partitions"].as_array().map(Vec::len), Some(1), "{done}");
    assert_eq!((&done["partitions"][0]["from"], &done["partitions"][0]["to"]), (&500.into(), &120.into()), "{done}");
    all_done(&[(0, 300), (1, 500)]);
    wait_until("380 records were handled again", PROGRESS, || outputs(&fixture) == 800 + 380);
    wait_until("both hosts are back", PROGRESS, || {
        fixture.host.client.partitions(&fixture.name) == 1 && second.client.partitions(&fixture.name) == 1
    });

    let (code, _, stderr) = reset(&second, &fixture.name, &["--to", "latest", "--topic", "elsewhere"]);
    assert!(code == Some(1) && stderr.contains(&format!("it reads {}", fixture.input)), "{code:?}: {stderr}");
    let (code, _, stderr) = reset(&second, &format!("{}x", fixture.name), &["--to", "latest"]);
    assert!(code == Some(3) && stderr.contains("did you mean"), "{code:?}: {stderr}");
    second.terminate();
}

#[test]
fn a_paused_function_is_sent_and_stays_paused() {
    for guarantee in ["at_least_once", "exactly_once"] {
        let fixture = HostFixture::new("reset-paused", 1);
        produce(&fixture, 0, 0..100);
        fixture.deploy("uppercase", &format!("processing_guarantee = \"{guarantee}\""));
        fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
        let between = now();
        std::thread::sleep(Duration::from_millis(20));
        produce(&fixture, 0, 100..150);
        wait_until("all is done", PROGRESS, || outputs(&fixture) == 150);
        let client = &fixture.host.client;
        let turn =
            |verb: &str| client.send("POST", &format!("/v1/functions/{}/{verb}?wait=30s", fixture.name), &[], "");
        assert_eq!(turn("pause").1["state"], "paused");

        // To a moment: what came after it is handled again.
        let done = must_reset(&fixture.host, &fixture.name, &["--to", &between]);
        assert_eq!((&done["again"], &done["partitions"][0]["to"]), (&50.into(), &100.into()), "{done}");
        assert_eq!(committed(&fixture), [(0, 100)]);
        wait_until("it is paused again", PROGRESS, || client.status(&fixture.name)["state"] == "paused");
        let done = must_reset(&fixture.host, &fixture.name, &["--to", "130"]);
        assert_eq!((&done["skipped"], &done["partitions"][0]["from"]), (&30.into(), &100.into()), "{done}");
        wait_until("it is paused again", PROGRESS, || client.status(&fixture.name)["state"] == "paused");
        assert_eq!((committed(&fixture), outputs(&fixture)), (vec![(0, 130)], 150));
        assert_eq!(turn("resume").1["state"], "running");
        wait_until("twenty were handled again", PROGRESS, || {
            outputs(&fixture) == 170 && committed(&fixture) == [(0, 150)]
        });
    }
}

/// Instead of deleting the function and deploying it again.
#[test]
fn a_topic_that_was_made_again_is_read_from_where_one_says() {
    let fixture = HostFixture::new("reset-again", 1);
    produce(&fixture, 0, 0..20);
    fixture.deploy("uppercase", "");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    fixture.kafka.delete_topic(&fixture.input);
    fixture.kafka.create_topic(&fixture.input, 1);
    fixture.host.client.wait_until_stalled(&fixture.name, "was deleted and made again", Duration::from_secs(20));
    produce(&fixture, 0, 0..30);
    must_reset(&fixture.host, &fixture.name, &["--to", "10"]);
    wait_until("it continues in the new topic", PROGRESS, || outputs(&fixture) == 20 + 20);
    assert_eq!(fixture.host.client.status(&fixture.name)["state"], "running");
}
