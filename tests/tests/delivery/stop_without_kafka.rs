//! A host is asked to stop while Kafka is away: it ends in time, with success, and its work is done elsewhere.

use std::time::Duration;

use millstream_tests::host::{Host, Options};
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::process::free_port;
use millstream_tests::proxy::Direction;
use millstream_tests::unique;

use super::stage::Stage;
use super::trial::Trial;

for_both_guarantees!(broker_killed, broker_silent, silent_while_joining);

const DRAIN: Duration = Duration::from_secs(4);

/// What is promised: `drain_timeout` and 15 s.
const STOPS_WITHIN: Duration = Duration::from_secs(4 + 15);

const SLOW_CALLS: &str = "ordering = \"key\"\nconcurrency = 8";

fn sections() -> String {
    format!("[delivery]\ndrain_timeout = \"{}s\"\n", DRAIN.as_secs())
}

/// Takes Kafka away under load, stops the host, and lets another one finish.
fn stopped_under_load(guarantee: Guarantee, stem: &str, away: impl FnOnce(&Stage), back: impl FnOnce(&Stage)) {
    let stage = Stage::fragile(stem, guarantee, 8);
    let host = stage.host();
    stage.deploy(&host, "sleepy", SLOW_CALLS, &sections());
    let mut trial = Trial::start(&stage, oracle::json_inputs(6_000, 100), 1_000);
    trial.allow_late_writes();
    trial.allow_late_commits();
    trial.wait_for(1_500);
    away(&stage);
    host.terminate_within(STOPS_WITHIN);
    back(&stage);
    let _successor = stage.host();
    trial.finish(0);
}

fn broker_killed(guarantee: Guarantee) {
    stopped_under_load(guarantee, "stop-killed", |stage| stage.kafka.kill(), |stage| stage.kafka.start_again());
}

fn broker_silent(guarantee: Guarantee) {
    let silent = |stage: &Stage| stage.kafka.proxy.hold(Direction::Out);
    stopped_under_load(guarantee, "stop-silent", silent, |stage| stage.kafka.proxy.heal());
}

/// The function has its revision, but neither partitions nor committed offsets yet.
fn silent_while_joining(guarantee: Guarantee) {
    let stage = Stage::fragile("stop-joining", guarantee, 4);
    let host = stage.host();
    stage.deploy(&host, "uppercase", "", &sections());
    stage.kafka.proxy.hold(Direction::Out);
    host.terminate_within(STOPS_WITHIN);
    stage.kafka.proxy.heal();
}

#[test]
fn a_host_that_never_reached_kafka_stops() {
    let nowhere = format!("127.0.0.1:{}", free_port());
    let options = Options::new(&nowhere, &unique("stop-nowhere"));
    let host = Host::launch(options, tempfile::tempdir().expect("a folder"));
    millstream_tests::wait_until("the host listens", Duration::from_secs(30), || host.client.is_healthy());
    host.terminate_within(Duration::from_secs(15));
}
