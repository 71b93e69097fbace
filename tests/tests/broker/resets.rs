//! Functions that are sent to another place in their topics, with two hosts. Offsets are asked from Kafka's own tool.

use std::process::Command;
use std::time::Duration;

use millstream_tests::host::{Host, binary};
use millstream_tests::{kcat, wait_until};
use serde_json::Value;

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);

/// What `millstream reset` answers, and its exit code.
fn reset(host: &Host, name: &str, words: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = Command::new(binary());
    command.args(["reset", name, "--json"]).args(words).env("MILLSTREAM_HOST", host.client.base());
    let output = command.output().expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), told)
}

#[track_caller]
fn must_reset(host: &Host, name: &str, words: &[&str]) -> Value {
    let (code, answer, told) = reset(host, name, words);
    assert_eq!(code, Some(0), "{words:?}: {told}");
    answer
}

fn committed(setting: &Setting) -> Vec<(i32, i64)> {
    let mut found: Vec<_> =
        setting.kafka.group(&setting.group()).iter().map(|place| (place.partition, place.committed)).collect();
    found.sort_unstable();
    found
}

fn outputs(setting: &Setting) -> usize {
    kcat::read_without_headers(&setting.kafka.bootstrap, &setting.output).len()
}

/// This moment by RFC 3339.
fn now() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S.%3NZ"]).output().expect("coreutils are there");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Numbered records.
fn produce(setting: &Setting, partition: i32, values: std::ops::Range<usize>) {
    let lines: Vec<_> = values.map(|value| format!("{value}")).collect();
    kcat::produce_to(&setting.kafka.bootstrap, &setting.input, partition, &lines);
}

#[test]
fn a_running_function_goes_where_it_is_sent_on_both_hosts() {
    let setting = Setting::new("reset", 2);
    produce(&setting, 0, 0..300);
    produce(&setting, 1, 0..500);
    setting.deploy("uppercase", "");
    let second = Host::start(&setting.kafka.bootstrap, &setting.prefix);
    wait_until("each host has one partition", LONG, || {
        setting.host.client.partitions(&setting.name) == 1 && second.client.partitions(&setting.name) == 1
    });
    let all_done = |offsets: &[(i32, i64)]| wait_until("all is done", LONG, || committed(&setting) == offsets);
    all_done(&[(0, 300), (1, 500)]);
    assert_eq!(outputs(&setting), 800);

    let dry = must_reset(&second, &setting.name, &["--to", "earliest", "--dry-run"]);
    assert_eq!((&dry["again"], &dry["skipped"], &dry["dry_run"]), (&800.into(), &0.into(), &true.into()), "{dry}");
    assert_eq!(dry["partitions"][1]["from"], 500, "{dry}");
    assert_eq!(committed(&setting), [(0, 300), (1, 500)], "nothing was done");

    let done = must_reset(&second, &setting.name, &["--to", "120", "--partition", "1"]);
    assert_eq!(done["partitions"].as_array().map(Vec::len), Some(1), "{done}");
    assert_eq!((&done["partitions"][0]["from"], &done["partitions"][0]["to"]), (&500.into(), &120.into()), "{done}");
    all_done(&[(0, 300), (1, 500)]);
    wait_until("380 records were handled again", LONG, || outputs(&setting) == 800 + 380);
    wait_until("both hosts are back", LONG, || {
        setting.host.client.partitions(&setting.name) == 1 && second.client.partitions(&setting.name) == 1
    });

    let (code, _, told) = reset(&second, &setting.name, &["--to", "latest", "--topic", "elsewhere"]);
    assert!(code == Some(1) && told.contains(&format!("it reads {}", setting.input)), "{code:?}: {told}");
    let (code, _, told) = reset(&second, &format!("{}x", setting.name), &["--to", "latest"]);
    assert!(code == Some(3) && told.contains("did you mean"), "{code:?}: {told}");
    second.terminate();
}

#[test]
fn a_paused_function_is_sent_and_stays_paused() {
    for guarantee in ["at_least_once", "exactly_once"] {
        let setting = Setting::new("reset-paused", 1);
        produce(&setting, 0, 0..100);
        setting.deploy("uppercase", &format!("processing_guarantee = \"{guarantee}\""));
        setting.host.client.wait_for_no_lag(&setting.name, LONG);
        let between = now();
        std::thread::sleep(Duration::from_millis(20));
        produce(&setting, 0, 100..150);
        wait_until("all is done", LONG, || outputs(&setting) == 150);
        let client = &setting.host.client;
        let turn =
            |verb: &str| client.send("POST", &format!("/v1/functions/{}/{verb}?wait=30s", setting.name), &[], "");
        assert_eq!(turn("pause").1["state"], "paused");

        // To a moment: what came after it is handled again.
        let done = must_reset(&setting.host, &setting.name, &["--to", &between]);
        assert_eq!((&done["again"], &done["partitions"][0]["to"]), (&50.into(), &100.into()), "{done}");
        assert_eq!(committed(&setting), [(0, 100)]);
        wait_until("it is paused again", LONG, || client.status(&setting.name)["state"] == "paused");
        let done = must_reset(&setting.host, &setting.name, &["--to", "130"]);
        assert_eq!((&done["skipped"], &done["partitions"][0]["from"]), (&30.into(), &100.into()), "{done}");
        wait_until("it is paused again", LONG, || client.status(&setting.name)["state"] == "paused");
        assert_eq!((committed(&setting), outputs(&setting)), (vec![(0, 130)], 150));
        assert_eq!(turn("resume").1["state"], "running");
        wait_until("twenty were handled again", LONG, || outputs(&setting) == 170 && committed(&setting) == [(0, 150)]);
    }
}

/// Instead of deleting the function and deploying it again.
#[test]
fn a_topic_that_was_made_again_is_read_from_where_one_says() {
    let setting = Setting::new("reset-again", 1);
    produce(&setting, 0, 0..20);
    setting.deploy("uppercase", "");
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    setting.kafka.delete_topic(&setting.input);
    setting.kafka.create_topic(&setting.input, 1);
    setting.host.client.wait_until_stalled(&setting.name, "was deleted and made again", Duration::from_secs(20));
    produce(&setting, 0, 0..30);
    must_reset(&setting.host, &setting.name, &["--to", "10"]);
    wait_until("it goes on in the new topic", LONG, || outputs(&setting) == 20 + 20);
    assert_eq!(setting.host.client.status(&setting.name)["state"], "running");
}
