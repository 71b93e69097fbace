//! Topics that are deleted, recreated or grown while a function reads them.

use std::time::{Duration, Instant};

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::host::Host;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::paced_producer::PacedProducer;
use millstream_tests::{PROGRESS, kcat, wait_until};

use super::fault_run::FaultRun;

for_both_guarantees!(offset_out_of_range, topic_deleted_and_made_again, topic_replaced_at_once, partitions_added);

/// How long a host may take to stop, in any state of its topics.
const CLOSES_WITHIN: Duration = Duration::from_secs(10);

#[track_caller]
fn assert_closes(host: Host) {
    let start = Instant::now();
    host.terminate();
    assert!(start.elapsed() < CLOSES_WITHIN, "it took {:?} to close", start.elapsed());
}

#[track_caller]
fn wait_for_outputs(fixture: &FunctionFixture, count: usize) {
    let outputs = kcat::read_at_least(&fixture.kafka.bootstrap, &fixture.output, count, PROGRESS);
    assert_eq!(outputs.len(), count);
}

#[track_caller]
fn wait_for_commit(fixture: &FunctionFixture, offset: i64) {
    let mut wire = fixture.kafka.wire();
    wait_until("the offset is committed", PROGRESS, || {
        let committed = wire.committed(&fixture.group()).expect("the broker answers");
        committed.get(&(fixture.input.clone(), 0)).is_some_and(|committed| committed.offset == offset)
    });
}

/// The reason that a stopped function reports.
fn is_stalled(host: &Host, fixture: &FunctionFixture) -> bool {
    host.client.status(&fixture.name)["state"] == "stalled"
}

fn offset_out_of_range(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("range", guarantee, 1);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "", "");
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, oracle::inputs(100, 10));
    wait_for_outputs(&fixture, 100);
    wait_for_commit(&fixture, 100);
    let folder = host.terminate();
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, oracle::inputs(100, 10));
    fixture.kafka.wire().delete_records(&fixture.input, 0, 150).expect("deleted");
    let mut host = Host::launch(fixture.options(), folder);
    host.wait_until_ready();
    wait_until("it is said that records are gone", PROGRESS, || is_stalled(&host, &fixture));
    let reason = host.client.status(&fixture.name)["reason"].to_string().to_lowercase();
    assert!(reason.contains("offset"), "{reason}");
    wait_for_outputs(&fixture, 100);
    wait_for_commit(&fixture, 100);
    assert_closes(host);
}

fn topic_deleted_and_made_again(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("again", guarantee, 1);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "", "[kafka]\n\"topic.metadata.refresh.interval.ms\" = 1000");
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, oracle::inputs(100, 10));
    wait_for_outputs(&fixture, 100);
    wait_for_commit(&fixture, 100);
    fixture.kafka.wire().delete_topic(&fixture.input).expect("it was there");
    wait_until("it is said that the topic is gone", PROGRESS, || {
        let status = host.client.status(&fixture.name);
        status["state"] != "running" || status["reason"].to_string().contains(&fixture.input)
    });
    fixture.kafka.wire().create_topic(&fixture.input, 1, &[]).expect("a new topic");
    assert_read_or_refused(&fixture, &host);
    assert_closes(host);
}

/// Writes more records than the old topic had, so a host that continued at the old offset would skip the first hundred.
#[track_caller]
fn assert_read_or_refused(fixture: &FunctionFixture, host: &Host) {
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, oracle::inputs(250, 10));
    let outputs = || kcat::read_without_headers(&fixture.kafka.bootstrap, &fixture.output).len();
    wait_until("all of the new topic is read, or it is refused aloud", PROGRESS, || {
        let status = host.client.status(&fixture.name);
        let is_refused = status["reason"].to_string().contains("made again");
        outputs() == 350 || (status["state"] == "stalled" && is_refused)
    });
}

/// Recreates the topic so fast that the host never sees it missing: only its id changes. By then the host may have
/// continued at the old topic's offset, and must report that.
fn topic_replaced_at_once(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("replaced", guarantee, 1);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "", "");
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, oracle::inputs(100, 10));
    wait_for_outputs(&fixture, 100);
    wait_for_commit(&fixture, 100);
    let mut wire = fixture.kafka.wire();
    wire.delete_topic(&fixture.input).expect("it was there");
    wait_until("the topic can be made again", PROGRESS, || wire.create_topic(&fixture.input, 1, &[]).is_ok());
    assert_read_or_refused(&fixture, &host);
    assert_closes(host);
}

fn partitions_added(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("grown", guarantee, 1);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "ordering = \"key\"", "");
    let inputs = oracle::inputs(2_000, 50);
    // Two producers in turn: a key that moves to another partition while its records are in flight has no order.
    let (before, after) = inputs.split_at(1_000);
    let mut run = FaultRun::start(&fixture, before.to_vec(), 2_000);
    run.wait_for(1_000);
    fixture.kafka.wire().grow_topic(&fixture.input, 4).expect("a larger topic");
    run.finish(0);
    let producer = PacedProducer::start(&fixture.kafka.bootstrap, &fixture.input, after.to_vec(), 1_000);
    let run = FaultRun::around(&fixture, &inputs, producer);
    wait_until("the new partitions are picked up", PROGRESS, || host.client.partitions(&fixture.name) == 4);
    run.finish(0);
}
