//! Functions that run by the clock.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_tests::host::{Host, binary};
use millstream_tests::{kcat, wait_until};
use serde_json::Value;

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);

fn manifest(setting: &Setting, missed: &str) -> String {
    format!(
        "outputs = {{ default = \"{}\" }}\n[schedule]\ncron = \"* * * * * *\"\ntime_zone = \"Europe/Berlin\"\nmissed = \"{missed}\"",
        setting.output
    )
}

/// The times for which something came out, in whole seconds, in the order in which it came.
fn fired(setting: &Setting) -> Vec<String> {
    let outputs = kcat::read_without_headers(&setting.kafka.bootstrap, &setting.output);
    let due = |record: &kcat::Record| {
        let tick: Value = serde_json::from_str(record.text()).expect("JSON");
        (tick["BY"] == "SCHEDULE").then(|| tick["DUE"].as_str().expect("a time").to_owned())
    };
    outputs.iter().filter_map(due).collect()
}

#[test]
fn a_schedule_fires_once_in_the_cluster_also_when_a_host_is_killed() {
    let setting = Setting::new("scheduled", 1);
    // Of one partition, so that what came first is read first.
    setting.kafka.create_topic(&setting.output, 1);
    let second = Host::start(&setting.kafka.bootstrap, &setting.prefix);
    setting.host.client.deploy(&setting.name, "uppercase", &manifest(&setting, "all"));
    wait_until("some times were fired", LONG, || fired(&setting).len() >= 20);
    // The one that fires, whichever it is: the other continues and makes up for what was missed.
    let owner_is_first = setting.host.log_lines_with("this host fires the schedules") > 0;
    let Setting { kafka, host, turn, prefix, name, input, output } = setting;
    let (killed, left) = if owner_is_first { (host, second) } else { (second, host) };
    drop(killed.kill());
    let setting = Setting { kafka, host: left, turn, prefix, name, input, output };
    let first = second_of(&fired(&setting)[0]);
    // Ticks come in order: behind one of a later time nothing comes of these seconds.
    wait_until("sixty seconds are over", 2 * LONG, || {
        fired(&setting).last().is_some_and(|time| second_of(time) >= first + 60)
    });
    let times: Vec<u64> = fired(&setting).iter().map(|time| second_of(time)).collect();
    let wanted: Vec<u64> = (first..first + times.len() as u64).collect();
    assert_eq!(times, wanted, "each second once, and in order");
}

fn second_of(time: &str) -> u64 {
    let time = humantime::parse_rfc3339(time).expect("a time");
    time.duration_since(UNIX_EPOCH).expect("a time of today").as_secs()
}

#[test]
fn a_function_is_triggered_by_hand_and_rests_while_paused() {
    let setting = Setting::new("triggered", 1);
    let name = &setting.name;
    let rare = manifest(&setting, "skip").replace("* * * * * *", "0 0 0 1 1 *");
    setting.host.client.deploy(name, "uppercase", &rare);
    let cli = |words: &[&str]| {
        let output = Command::new(binary()).args(words).env("MILLSTREAM_HOST", setting.host.client.base()).output();
        let output = output.expect("the binary runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(cli(&["trigger", name]), (Some(0), format!("{name}.ticks/0/0\n")));
    let outputs = kcat::read_at_least(&setting.kafka.bootstrap, &setting.output, 1, LONG);
    assert!(outputs[0].text().contains("\"BY\":\"HAND\""), "{outputs:?}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    assert!(now.as_secs() > 0 && fired(&setting).is_empty());
    let (status, answer) = setting.host.client.send("POST", &format!("/v1/functions/{name}x/trigger"), &[], "");
    assert_eq!(status, 404, "{answer}");
}
