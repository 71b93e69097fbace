//! Input topics that are deleted, recreated, grown, or that lose records.

use std::time::{Duration, Instant};

use millstream_tests::fixture::{FunctionFixture, HostFixture};
use millstream_tests::host::Host;
use millstream_tests::kafka::Kafka;
use millstream_tests::{PROGRESS, kcat, stays_so_for, wait_until};

/// Ten seconds, and what a busy machine adds.
const SOON: Duration = Duration::from_secs(15);

fn produce(fixture: &HostFixture, count: usize) {
    let records = (0..count).map(|index| (format!("k{index}"), format!("v{index}")));
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, records);
}

fn outputs(fixture: &HostFixture) -> usize {
    kcat::read(&fixture.kafka.bootstrap, &fixture.output).len()
}

#[test]
fn a_topic_that_is_deleted_is_said_loudly() {
    let fixture = HostFixture::new("deleted", 2);
    produce(&fixture, 20);
    fixture.deploy("uppercase", "");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    fixture.kafka.delete_topic(&fixture.input);
    let gone = format!("topic {} does not exist any more", fixture.input);
    fixture.host.client.wait_until_stalled(&fixture.name, &gone, SOON);
    assert_eq!(fixture.host.log_lines_with(&gone), 1, "{}", fixture.host.log_tail());
}

#[test]
fn a_topic_that_is_made_again_is_another_one() {
    let fixture = HostFixture::new("made-again", 1);
    produce(&fixture, 20);
    fixture.deploy("uppercase", "");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    fixture.kafka.delete_topic(&fixture.input);
    fixture.kafka.create_topic(&fixture.input, 1);
    let other = format!("topic {} was deleted and made again", fixture.input);
    fixture.host.client.wait_until_stalled(&fixture.name, &other, SOON);
    produce(&fixture, 50);
    stays_so_for("no record of the other topic is read", Duration::from_secs(5), || outputs(&fixture) == 20);
    assert_eq!(fixture.host.log_lines_with(&other), 1, "{}", fixture.host.log_tail());

    // The remedy that the reason names.
    assert_eq!(fixture.host.client.delete(&fixture.name), 204);
    fixture.deploy("uppercase", "");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    assert_eq!(outputs(&fixture), 70);
}

/// A host that commits after the topic was recreated, before it checks, leaves such an offset behind.
#[test]
fn a_topic_that_was_made_again_is_known_by_the_commit_after_a_restart() {
    let fixture = HostFixture::new("remembered", 1);
    produce(&fixture, 20);
    fixture.deploy("uppercase", "");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let (kafka, name) = (Kafka::shared(), fixture.name.clone());
    let group = format!("millstream.{name}");
    let HostFixture { host, function } = fixture;
    let FunctionFixture { input, output, .. } = &function;
    let folder = host.terminate();
    let mut wire = kafka.wire();
    let place = (input.to_owned(), 0);
    let committed = wire.committed(&group).expect("the broker answers")[&place].clone();
    assert_eq!(committed.offset, 20);
    kafka.delete_topic(input);
    kafka.create_topic(input, 1);
    kcat::produce(&kafka.bootstrap, input, (0..50).map(|index| (format!("k{index}"), "other".into())));
    wait_until("the offset of the old topic is committed", PROGRESS, || {
        wire.commit(&group, input, 0, &committed).is_ok()
            && wire.committed(&group).is_ok_and(|found| found.get(&place) == Some(&committed))
    });
    let host = Host::start_in(&kafka.bootstrap, &name, folder);
    host.client.wait_until_stalled(&name, &format!("topic {input} was deleted and made again"), PROGRESS);
    stays_so_for("no record of the other topic is read", Duration::from_secs(3), || {
        kcat::read(&kafka.bootstrap, output).len() == 20
    });
    // Without that commit Kafka has no offset of the topic, as of one that has just appeared: it is read from its beginning.
}

#[test]
fn partitions_that_are_added_are_found() {
    let fixture = HostFixture::new("grown", 1);
    fixture.deploy("uppercase", "");
    fixture.kafka.grow_topic(&fixture.input, 3);
    let start = Instant::now();
    wait_until("the new partitions are assigned", Duration::from_secs(45), || {
        fixture.host.client.partitions(&fixture.name) == 3
    });
    println!("found after {:?}", start.elapsed());
    produce(&fixture, 60);
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    assert_eq!(outputs(&fixture), 60);
}

#[test]
fn records_that_are_gone_stop_their_partition_loudly() {
    let fixture = HostFixture::new("retained", 1);
    produce(&fixture, 100);
    fixture.deploy("uppercase", "");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let (kafka, name) = (Kafka::shared(), fixture.name.clone());
    produce(&fixture, 100);
    fixture.host.client.wait_for_no_lag(&name, PROGRESS);
    let HostFixture { host, function } = fixture;
    let FunctionFixture { input, output, .. } = &function;
    let folder = host.terminate();
    kcat::produce(&kafka.bootstrap, input, (0..100).map(|index| (format!("k{index}"), "late".into())));
    kafka.delete_records(input, 0, 250);
    let host = Host::start_in(&kafka.bootstrap, &name, folder);
    let status = host.client.wait_until_stalled(&name, "offset 200", PROGRESS);
    let reason = status["reason"].as_str().unwrap_or_default();
    for words in [&format!("topic {input}, partition 0"), "250 to 300", "initial_offset"] {
        assert!(reason.contains(words), "{words}: {reason}");
    }
    stays_so_for("no record is skipped", Duration::from_secs(3), || kcat::read(&kafka.bootstrap, output).len() == 200);
}
