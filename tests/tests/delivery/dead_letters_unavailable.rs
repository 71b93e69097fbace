//! The dead letter topic cannot be written to.

use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::wait_until;

use super::stage::{DEAD_PARTITIONS, PROGRESS, Stage};
use super::trial::Trial;

for_both_guarantees!(dead_letter_topic_unavailable);

fn dead_letter_topic_unavailable(guarantee: Guarantee) {
    let stage = Stage::new("no-dead", guarantee, 1);
    let host = stage.host();
    stage.deploy(&host, "faults", "ordering = \"key\"", "[retry]\nmax_attempts = 1");
    let mut wire = stage.kafka.wire();
    wire.delete_topic(&stage.dead()).expect("it was there");
    // The poison is the second record of all.
    let inputs = oracle::commands(200, 10, |index| if index == 1 { "trap" } else { "ok" });
    let mut trial = Trial::start(&stage, inputs, 200);
    if guarantee == Guarantee::AtLeastOnce {
        // Transactions wait for the dead letter, other keys need not.
        trial.wait_for(199);
    }
    let mut highest = 0;
    wait_until("the status says what is missing", PROGRESS, || {
        let committed = wire.committed(&stage.group()).expect("the broker answers");
        let place = committed.get(&(stage.input.clone(), 0));
        highest = highest.max(place.map_or(0, |committed| committed.offset));
        host.client.status(&stage.name)["reason"].to_string().contains(&stage.dead())
    });
    assert!(highest <= 1, "offset {highest} was committed although the record at offset 1 has no dead letter");
    wire.create_topic(&stage.dead(), DEAD_PARTITIONS, &[]).expect("a new topic");
    trial.finish(1);
}
