//! Exactly once: what a `read_committed` reader sees while all goes well. `delivery` has what happens when it does not.

use std::time::Duration;

use millstream_tests::{kcat, oracle};

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);
const GUARANTEE: &str = "processing_guarantee = \"exactly_once\"\n";

#[test]
fn a_stream_comes_out_once_and_in_order() {
    let setting = Setting::new("exact", 4);
    let inputs = oracle::inputs(20_000, 50);
    kcat::produce(&setting.kafka.bootstrap, &setting.input, inputs.clone());
    setting.deploy("uppercase", &format!("{GUARANTEE}ordering = \"key\""));
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    let findings = oracle::compare(&inputs, &kcat::read(&setting.kafka.bootstrap, &setting.output));
    assert_eq!((findings.lost.len(), findings.repeated, findings.foreign.len()), (0, 0, 0));
    assert_eq!(findings.out_of_order, []);
    let partitions = setting.kafka.group(&setting.group());
    assert!(partitions.iter().all(|partition| partition.committed == partition.end), "{partitions:?}");
    assert_eq!(setting.host.client.counter(&setting.name, "emitted"), 20_000);
}

#[test]
fn a_poison_record_is_one_dead_letter_in_the_same_transaction() {
    let setting = Setting::new("exact-poison", 1);
    let bootstrap = &setting.kafka.bootstrap;
    let inputs = (0..50)
        .map(|index| (format!("k{}", index % 5), if index == 20 { "trap".into() } else { format!("ok:{index}") }));
    kcat::produce(bootstrap, &setting.input, inputs);
    let more = format!("{GUARANTEE}ordering = \"key\"\n[retry]\nmax_attempts = 2\nbackoff = \"50ms\"\n");
    setting.deploy("faults", &more);
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    assert_eq!(kcat::read(bootstrap, &setting.output).len(), 49);
    let dead = kcat::read(bootstrap, &setting.dead());
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].header("millstream-attempts"), Some("2"));
}

/// The broker takes no such large message: that costs its record a dead letter, and the others nothing.
#[test]
fn a_refused_emission_costs_its_record_alone() {
    let setting = Setting::new("exact-refused", 1);
    let bootstrap = &setting.kafka.bootstrap;
    setting.kafka.create_topic_with(&setting.output, 1, &["max.message.bytes=20000"]);
    let large = format!("ok:{}", "x".repeat(30_000));
    kcat::produce(bootstrap, &setting.input, (0..20).map(|index| ("k".to_owned(), format!("ok:{index}"))));
    kcat::produce_one(bootstrap, &setting.input, Some("k"), &[], large.as_bytes());
    kcat::produce(bootstrap, &setting.input, (20..40).map(|index| ("k".to_owned(), format!("ok:{index}"))));
    setting.deploy("faults", GUARANTEE);
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    let outputs = kcat::read(bootstrap, &setting.output);
    let texts: Vec<_> = outputs.iter().map(|record| record.text().to_owned()).collect();
    assert_eq!(texts, (0..40).map(|index| format!("ok:{index}")).collect::<Vec<_>>());
    let dead = kcat::read(bootstrap, &setting.dead());
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].header("millstream-error-class"), Some("output-refused"));
    assert_eq!(dead[0].value.as_ref().map(Vec::len), Some(large.len()));
}

#[test]
fn outputs_keep_their_own_compression() {
    let setting = Setting::new("exact-lz4", 1);
    let value = "a".repeat(2_000);
    kcat::produce(&setting.kafka.bootstrap, &setting.input, [("k".to_owned(), value.clone())]);
    let manifest = format!(
        "{GUARANTEE}topics = [\"{}\"]\ninitial_offset = \"earliest\"\n[outputs]\ndefault = {{ topic = \"{}\", compression = \"lz4\" }}\n",
        setting.input, setting.output
    );
    setting.host.client.deploy(&setting.name, "uppercase", &manifest);
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    let outputs = kcat::read(&setting.kafka.bootstrap, &setting.output);
    assert_eq!(outputs[0].text(), value.to_uppercase());
    let bytes = setting.kafka.log_bytes(&setting.output, 0);
    assert!(bytes < 1_500, "{bytes} bytes on disk are not compressed");
}
