//! Exactly once: what a `read_committed` reader sees while all goes well. `delivery` has what happens when it does not.

use millstream_tests::fixture::HostFixture;
use millstream_tests::{PROGRESS, kcat, oracle};

const GUARANTEE: &str = "processing_guarantee = \"exactly_once\"\n";

#[test]
fn a_stream_comes_out_once_and_in_order() {
    let fixture = HostFixture::new("exact", 4);
    let inputs = oracle::inputs(20_000, 50);
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, inputs.clone());
    fixture.deploy("uppercase", &format!("{GUARANTEE}ordering = \"key\""));
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let findings = oracle::compare(&inputs, &kcat::read(&fixture.kafka.bootstrap, &fixture.output));
    assert_eq!((findings.lost.len(), findings.repeated, findings.foreign.len()), (0, 0, 0));
    assert_eq!(findings.out_of_order, []);
    let partitions = fixture.kafka.group(&fixture.group());
    assert!(partitions.iter().all(|partition| partition.committed == partition.end), "{partitions:?}");
    assert_eq!(fixture.host.client.counter(&fixture.name, "emitted"), 20_000);
}

#[test]
fn a_poison_record_is_one_dead_letter_in_the_same_transaction() {
    let fixture = HostFixture::new("exact-poison", 1);
    let bootstrap = &fixture.kafka.bootstrap;
    let inputs = (0..50)
        .map(|index| (format!("k{}", index % 5), if index == 20 { "trap".into() } else { format!("ok:{index}") }));
    kcat::produce(bootstrap, &fixture.input, inputs);
    let more = format!("{GUARANTEE}ordering = \"key\"\n[retry]\nmax_attempts = 2\nbackoff = \"50ms\"\n");
    fixture.deploy("faults", &more);
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    assert_eq!(kcat::read(bootstrap, &fixture.output).len(), 49);
    let dead = kcat::read(bootstrap, &fixture.dead());
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].header("millstream-attempts"), Some("2"));
}

/// The broker takes no such large message: that costs its record a dead letter, and the others nothing.
#[test]
fn a_refused_emission_costs_its_record_alone() {
    let fixture = HostFixture::new("exact-refused", 1);
    let bootstrap = &fixture.kafka.bootstrap;
    fixture.kafka.create_topic_with(&fixture.output, 1, &["max.message.bytes=20000"]);
    let large = format!("ok:{}", "x".repeat(30_000));
    kcat::produce(bootstrap, &fixture.input, (0..20).map(|index| ("k".to_owned(), format!("ok:{index}"))));
    kcat::produce_one(bootstrap, &fixture.input, Some("k"), &[], large.as_bytes());
    kcat::produce(bootstrap, &fixture.input, (20..40).map(|index| ("k".to_owned(), format!("ok:{index}"))));
    fixture.deploy("faults", GUARANTEE);
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let outputs = kcat::read(bootstrap, &fixture.output);
    let texts: Vec<_> = outputs.iter().map(|record| record.text().to_owned()).collect();
    assert_eq!(texts, (0..40).map(|index| format!("ok:{index}")).collect::<Vec<_>>());
    let dead = kcat::read(bootstrap, &fixture.dead());
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].header("millstream-error-class"), Some("output-refused"));
    assert_eq!(dead[0].value.as_ref().map(Vec::len), Some(large.len()));
}

#[test]
fn outputs_keep_their_own_compression() {
    let fixture = HostFixture::new("exact-lz4", 1);
    let value = "a".repeat(2_000);
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, [("k".to_owned(), value.clone())]);
    let manifest = format!(
        "{GUARANTEE}topics = [\"{}\"]\ninitial_offset = \"earliest\"\n[outputs]\ndefault = {{ topic = \"{}\", compression = \"lz4\" }}\n",
        fixture.input, fixture.output
    );
    fixture.host.client.deploy(&fixture.name, "uppercase", &manifest);
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
    assert_eq!(outputs[0].text(), value.to_uppercase());
    let bytes = fixture.kafka.log_bytes(&fixture.output, 0);
    assert!(bytes < 1_500, "{bytes} bytes on disk are not compressed");
}
