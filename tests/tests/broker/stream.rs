//! Many records through a function, in the order that was asked for.

use std::time::Duration;

use millstream_tests::{kcat, oracle};

use super::setting::Setting;

const RECORDS: usize = 20_000;
const KEYS: usize = 50;
const LONG: Duration = Duration::from_secs(60);

fn run(ordering: &str) -> (Setting, oracle::Findings) {
    let setting = Setting::new(ordering, 4);
    let inputs = oracle::inputs(RECORDS, KEYS);
    kcat::produce(&setting.kafka.bootstrap, &setting.input, inputs.clone());
    setting.deploy("uppercase", &format!("ordering = \"{ordering}\""));
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    let outputs = kcat::read(&setting.kafka.bootstrap, &setting.output);
    assert!(outputs.iter().all(|record| record.text() == record.text().to_uppercase()));
    let findings = oracle::compare(&inputs, &outputs);
    assert!(findings.lost.is_empty(), "lost: {:?}", &findings.lost[..findings.lost.len().min(10)]);
    assert_eq!((findings.repeated, findings.foreign.len()), (0, 0));
    (setting, findings)
}

fn assert_no_lag_by_kafkas_own_tool(setting: &Setting) {
    let partitions = setting.kafka.group(&setting.group());
    assert_eq!(partitions.len(), 4, "{partitions:?}");
    assert!(partitions.iter().all(|partition| partition.committed == partition.end), "{partitions:?}");
    assert_eq!(partitions.iter().map(|partition| partition.end).sum::<i64>(), RECORDS as i64);
}

#[test]
fn key_order_is_kept_and_nothing_lags() {
    let (setting, findings) = run("key");
    assert_eq!(findings.out_of_order, []);
    assert_no_lag_by_kafkas_own_tool(&setting);
}

#[test]
fn partition_order_is_kept_and_nothing_lags() {
    let (setting, findings) = run("partition");
    assert_eq!(findings.out_of_order, []);
    assert_no_lag_by_kafkas_own_tool(&setting);
}

#[test]
fn without_order_nothing_is_lost_either() {
    let (setting, _) = run("none");
    assert_no_lag_by_kafkas_own_tool(&setting);
}

/// One partition, slow records, sixteen lanes: with `ordering = "none"` they sleep side by side. The small budget makes
/// the partition pause and resume.
#[test]
fn without_order_one_partition_uses_all_lanes() {
    let setting = Setting::new("lanes", 1);
    let inputs = (0..400).map(|seq| ("k".to_owned(), format!("{{\"seq\"{}{seq}}}", '\u{3a}')));
    // kcat splits at the first colon, which is the key's.
    kcat::produce(&setting.kafka.bootstrap, &setting.input, inputs);
    setting.deploy("sleepy", "ordering = \"none\"\nconcurrency = 16\n[delivery]\nin_flight = 50");
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    assert_eq!(kcat::read(&setting.kafka.bootstrap, &setting.output).len(), 400);
    // Instances are made when no idle one is left: as many as calls ran at once.
    let cold = setting.host.client.counter(&setting.name, "cold_starts");
    assert!(cold >= 8, "only {cold} lanes ran at once");
}
