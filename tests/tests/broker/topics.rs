//! Input topics that go away, come back as others, grow, or lose records.

use std::time::{Duration, Instant};

use millstream_tests::host::Host;
use millstream_tests::{kcat, wait_until};

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);
/// Ten seconds, and what a busy machine adds.
const SOON: Duration = Duration::from_secs(15);

fn produce(setting: &Setting, count: usize) {
    let records = (0..count).map(|index| (format!("k{index}"), format!("v{index}")));
    kcat::produce(&setting.kafka.bootstrap, &setting.input, records);
}

fn outputs(setting: &Setting) -> usize {
    kcat::read(&setting.kafka.bootstrap, &setting.output).len()
}

#[test]
fn a_topic_that_is_deleted_is_said_loudly() {
    let setting = Setting::new("deleted", 2);
    produce(&setting, 20);
    setting.deploy("uppercase", "");
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    setting.kafka.delete_topic(&setting.input);
    let gone = format!("topic {} does not exist any more", setting.input);
    setting.host.client.wait_until_stalled(&setting.name, &gone, SOON);
    assert_eq!(setting.host.log_lines_with(&gone), 1, "{}", setting.host.log_tail());
}

#[test]
fn a_topic_that_is_made_again_is_another_one() {
    let setting = Setting::new("made-again", 1);
    produce(&setting, 20);
    setting.deploy("uppercase", "");
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    setting.kafka.delete_topic(&setting.input);
    setting.kafka.create_topic(&setting.input, 1);
    let other = format!("topic {} was deleted and made again", setting.input);
    setting.host.client.wait_until_stalled(&setting.name, &other, SOON);
    produce(&setting, 50);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(outputs(&setting), 20, "nothing of the other topic is read");
    assert_eq!(setting.host.log_lines_with(&other), 1, "{}", setting.host.log_tail());

    // The remedy that the reason names.
    assert_eq!(setting.host.client.delete(&setting.name), 204);
    setting.deploy("uppercase", "");
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    assert_eq!(outputs(&setting), 70);
}

/// A host that committed after the topic was made again, before it looked, leaves such an offset behind.
#[test]
fn a_topic_that_was_made_again_is_known_by_the_commit_after_a_restart() {
    let setting = Setting::new("remembered", 1);
    produce(&setting, 20);
    setting.deploy("uppercase", "");
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    let (kafka, prefix, name) = (setting.kafka, setting.prefix.clone(), setting.name.clone());
    let group = format!("millstream.{name}");
    let Setting { host, input, output, turn: _turn, .. } = setting;
    let folder = host.terminate();
    let mut wire = kafka.wire();
    let place = (input.clone(), 0);
    let committed = wire.committed(&group).expect("the broker answers")[&place].clone();
    assert_eq!(committed.offset, 20);
    kafka.delete_topic(&input);
    kafka.create_topic(&input, 1);
    kcat::produce(&kafka.bootstrap, &input, (0..50).map(|index| (format!("k{index}"), "other".into())));
    wait_until("the offset of the old topic is committed", LONG, || {
        wire.commit(&group, &input, 0, &committed).is_ok()
            && wire.committed(&group).is_ok_and(|found| found.get(&place) == Some(&committed))
    });
    let host = Host::start_in(&kafka.bootstrap, &prefix, folder);
    host.client.wait_until_stalled(&name, &format!("topic {input} was deleted and made again"), LONG);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(kcat::read(&kafka.bootstrap, &output).len(), 20, "nothing of the other topic is read");
    // Without that commit Kafka has no offset of the topic, as of one that has just appeared: it is read from its beginning.
}

#[test]
fn partitions_that_are_added_are_found() {
    let setting = Setting::new("grown", 1);
    setting.deploy("uppercase", "");
    setting.kafka.grow_topic(&setting.input, 3);
    let start = Instant::now();
    wait_until("the new partitions are assigned", Duration::from_secs(45), || {
        setting.host.client.partitions(&setting.name) == 3
    });
    println!("found after {:?}", start.elapsed());
    produce(&setting, 60);
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    assert_eq!(outputs(&setting), 60);
}

#[test]
fn records_that_are_gone_stop_their_partition_loudly() {
    let setting = Setting::new("retained", 1);
    produce(&setting, 100);
    setting.deploy("uppercase", "");
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    let (kafka, prefix, name) = (setting.kafka, setting.prefix.clone(), setting.name.clone());
    produce(&setting, 100);
    setting.host.client.wait_for_no_lag(&name, LONG);
    let Setting { host, input, output, turn: _turn, .. } = setting;
    let folder = host.terminate();
    kcat::produce(&kafka.bootstrap, &input, (0..100).map(|index| (format!("k{index}"), "late".into())));
    kafka.delete_records(&input, 0, 250);
    let host = Host::start_in(&kafka.bootstrap, &prefix, folder);
    let status = host.client.wait_until_stalled(&name, "offset 200", LONG);
    let reason = status["reason"].as_str().unwrap_or_default();
    for words in [&format!("topic {input}, partition 0"), "250 to 300", "initial_offset"] {
        assert!(reason.contains(words), "{words}: {reason}");
    }
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(kcat::read(&kafka.bootstrap, &output).len(), 200, "nothing is skipped");
}
