//! The dead letter topic cannot be written to.

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::{PROGRESS, wait_until};

use super::fault_run::FaultRun;

for_both_guarantees!(dead_letter_topic_unavailable);

fn dead_letter_topic_unavailable(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("no-dead", guarantee, 1);
    let host = fixture.host();
    fixture.deploy(&host, "faults", "ordering = \"key\"", "[retry]\nmax_attempts = 1");
    let mut wire = fixture.kafka.wire();
    wire.delete_topic(&fixture.dead()).expect("it was there");
    // The poison is the second record of all.
    let inputs = oracle::commands(200, 10, |index| if index == 1 { "trap" } else { "ok" });
    let mut run = FaultRun::start(&fixture, inputs, 200);
    if guarantee == Guarantee::AtLeastOnce {
        // Transactions wait for the dead letter, other keys need not.
        run.wait_for(199);
    }
    let mut highest = 0;
    wait_until("the status says what is missing", PROGRESS, || {
        let committed = wire.committed(&fixture.group()).expect("the broker answers");
        let place = committed.get(&(fixture.input.clone(), 0));
        highest = highest.max(place.map_or(0, |committed| committed.offset));
        host.client.status(&fixture.name)["reason"].to_string().contains(&fixture.dead())
    });
    assert!(highest <= 1, "offset {highest} was committed although the record at offset 1 has no dead letter");
    wire.create_topic(&fixture.dead(), FunctionFixture::DEAD_PARTITIONS, &[]).expect("a new topic");
    run.finish(1);
}
