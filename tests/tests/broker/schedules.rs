//! Functions that run by the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use millstream_tests::fixture::HostFixture;
use millstream_tests::{PROGRESS, cli, kcat, wait_until};
use serde_json::Value;

fn manifest(fixture: &HostFixture, missed: &str) -> String {
    format!(
        "outputs = {{ default = \"{}\" }}\n[schedule]\ncron = \"* * * * * *\"\ntime_zone = \"Europe/Berlin\"\nmissed = \"{missed}\"",
        fixture.output
    )
}

/// The times for which something came out, in whole seconds, in the order in which it came.
fn fired(fixture: &HostFixture) -> Vec<String> {
    let outputs = kcat::read_without_headers(&fixture.kafka.bootstrap, &fixture.output);
    let due = |record: &kcat::Record| {
        let tick: Value = serde_json::from_str(record.text()).expect("JSON");
        (tick["BY"] == "SCHEDULE").then(|| tick["DUE"].as_str().expect("a time").to_owned())
    };
    outputs.iter().filter_map(due).collect()
}

#[test]
fn a_schedule_fires_once_in_the_cluster_also_when_a_host_is_killed() {
    let fixture = HostFixture::new("scheduled", 1);
    // Of one partition, so that what came first is read first.
    fixture.kafka.create_topic(&fixture.output, 1);
    let second = fixture.function.host();
    fixture.host.client.deploy(&fixture.name, "uppercase", &manifest(&fixture, "all"));
    wait_until("some times were fired", PROGRESS, || fired(&fixture).len() >= 20);
    // Kill the leader, whichever host it is: the other one continues and fires the missed times.
    let owner_is_first = fixture.host.log_lines_with("this host fires the schedules") > 0;
    let HostFixture { host, function } = fixture;
    let (killed, left) = if owner_is_first { (host, second) } else { (second, host) };
    drop(killed.kill());
    let fixture = HostFixture { host: left, function };
    let first = second_of(&fired(&fixture)[0]);
    // Ticks come in order: behind one of a later time nothing comes of these seconds.
    wait_until("sixty seconds are over", 2 * PROGRESS, || {
        fired(&fixture).last().is_some_and(|time| second_of(time) >= first + 60)
    });
    let times: Vec<u64> = fired(&fixture).iter().map(|time| second_of(time)).collect();
    let wanted: Vec<u64> = (first..first + times.len() as u64).collect();
    assert_eq!(times, wanted, "each second once, and in order");
}

fn second_of(time: &str) -> u64 {
    let time = humantime::parse_rfc3339(time).expect("a time");
    time.duration_since(UNIX_EPOCH).expect("a time of today").as_secs()
}

#[test]
fn a_function_is_triggered_by_hand_and_rests_while_paused() {
    let fixture = HostFixture::new("triggered", 1);
    let name = &fixture.name;
    let rare = manifest(&fixture, "skip").replace("* * * * * *", "0 0 0 1 1 *");
    fixture.host.client.deploy(name, "uppercase", &rare);
    assert_eq!(cli::succeed(&fixture.host, &["trigger", name]), format!("{name}.ticks/0/0\n"));
    let outputs = kcat::read_at_least(&fixture.kafka.bootstrap, &fixture.output, 1, PROGRESS);
    assert!(outputs[0].text().contains("\"BY\":\"HAND\""), "{outputs:?}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    assert!(now.as_secs() > 0 && fired(&fixture).is_empty());
    let (status, answer) = fixture.host.client.send("POST", &format!("/v1/functions/{name}x/trigger"), &[], "");
    assert_eq!(status, 404, "{answer}");
}
