//! Topics that change under a function's feet.

use std::time::{Duration, Instant};

use millstream_tests::flow::Flow;
use millstream_tests::host::Host;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::{kcat, wait_until};

use super::stage::{PROGRESS, Stage};
use super::trial::Trial;

for_both_guarantees!(offset_out_of_range, topic_deleted_and_made_again, topic_replaced_at_once, partitions_added);

/// The longest time that a host takes to end, whatever became of its topics.
const CLOSES_WITHIN: Duration = Duration::from_secs(10);

#[track_caller]
fn assert_closes(host: Host) {
    let start = Instant::now();
    host.terminate();
    assert!(start.elapsed() < CLOSES_WITHIN, "it took {:?} to close", start.elapsed());
}

#[track_caller]
fn wait_for_outputs(stage: &Stage, count: usize) {
    let outputs = kcat::read_at_least(&stage.kafka.bootstrap, &stage.output, count, PROGRESS);
    assert_eq!(outputs.len(), count);
}

#[track_caller]
fn wait_for_commit(stage: &Stage, offset: i64) {
    let mut wire = stage.kafka.wire();
    wait_until("the offset is committed", PROGRESS, || {
        let committed = wire.committed(&stage.group()).expect("the broker answers");
        committed.get(&(stage.input.clone(), 0)).is_some_and(|committed| committed.offset == offset)
    });
}

/// What a function says when it can't go on.
fn is_stalled(host: &Host, stage: &Stage) -> bool {
    host.client.status(&stage.name)["state"] == "stalled"
}

fn offset_out_of_range(guarantee: Guarantee) {
    let stage = Stage::new("range", guarantee, 1);
    let host = stage.host();
    stage.deploy(&host, "uppercase", "", "");
    kcat::produce(&stage.kafka.bootstrap, &stage.input, oracle::inputs(100, 10));
    wait_for_outputs(&stage, 100);
    wait_for_commit(&stage, 100);
    let folder = host.terminate();
    kcat::produce(&stage.kafka.bootstrap, &stage.input, oracle::inputs(100, 10));
    stage.kafka.wire().delete_records(&stage.input, 0, 150).expect("deleted");
    let mut host = Host::launch(stage.options(), folder);
    host.wait_until_ready();
    wait_until("it is said that records are gone", PROGRESS, || is_stalled(&host, &stage));
    let reason = host.client.status(&stage.name)["reason"].to_string().to_lowercase();
    assert!(reason.contains("offset"), "{reason}");
    wait_for_outputs(&stage, 100);
    wait_for_commit(&stage, 100);
    assert_closes(host);
}

fn topic_deleted_and_made_again(guarantee: Guarantee) {
    let stage = Stage::new("again", guarantee, 1);
    let host = stage.host();
    stage.deploy(&host, "uppercase", "", "[kafka]\n\"topic.metadata.refresh.interval.ms\" = 1000");
    kcat::produce(&stage.kafka.bootstrap, &stage.input, oracle::inputs(100, 10));
    wait_for_outputs(&stage, 100);
    wait_for_commit(&stage, 100);
    stage.kafka.wire().delete_topic(&stage.input).expect("it was there");
    wait_until("it is said that the topic is gone", PROGRESS, || {
        let status = host.client.status(&stage.name);
        status["state"] != "running" || status["reason"].to_string().contains(&stage.input)
    });
    stage.kafka.wire().create_topic(&stage.input, 1, &[]).expect("a new topic");
    assert_read_or_refused(&stage, &host);
    assert_closes(host);
}

/// Writes more than the old topic had to the new one: who went on at the old offset would skip the first hundred.
#[track_caller]
fn assert_read_or_refused(stage: &Stage, host: &Host) {
    kcat::produce(&stage.kafka.bootstrap, &stage.input, oracle::inputs(250, 10));
    let outputs = || kcat::read_without_headers(&stage.kafka.bootstrap, &stage.output).len();
    wait_until("all of the new topic is read, or it is refused aloud", PROGRESS, || {
        let status = host.client.status(&stage.name);
        let is_refused = status["reason"].to_string().contains("made again");
        outputs() == 350 || (status["state"] == "stalled" && is_refused)
    });
}

/// The same within a moment, so that the host never sees the topic missing: only its identity is another one. By then
/// the host may have gone on at the old one's offset; it must not keep that to itself.
fn topic_replaced_at_once(guarantee: Guarantee) {
    let stage = Stage::new("replaced", guarantee, 1);
    let host = stage.host();
    stage.deploy(&host, "uppercase", "", "");
    kcat::produce(&stage.kafka.bootstrap, &stage.input, oracle::inputs(100, 10));
    wait_for_outputs(&stage, 100);
    wait_for_commit(&stage, 100);
    let mut wire = stage.kafka.wire();
    wire.delete_topic(&stage.input).expect("it was there");
    wait_until("the topic can be made again", PROGRESS, || wire.create_topic(&stage.input, 1, &[]).is_ok());
    assert_read_or_refused(&stage, &host);
    assert_closes(host);
}

fn partitions_added(guarantee: Guarantee) {
    let stage = Stage::new("grown", guarantee, 1);
    let host = stage.host();
    stage.deploy(&host, "uppercase", "ordering = \"key\"", "");
    let inputs = oracle::inputs(2_000, 50);
    // Two flows: a key that moves to another partition while its records are under way has no order to keep.
    let (before, after) = inputs.split_at(1_000);
    let mut trial = Trial::start(&stage, before.to_vec(), 2_000);
    trial.wait_for(1_000);
    stage.kafka.wire().grow_topic(&stage.input, 4).expect("a larger topic");
    trial.finish(0);
    let flow = Flow::start(&stage.kafka.bootstrap, &stage.input, after.to_vec(), 1_000);
    let trial = Trial::around(&stage, &inputs, flow);
    wait_until("the new partitions are picked up", PROGRESS, || host.client.partitions(&stage.name) == 4);
    trial.finish(0);
}
