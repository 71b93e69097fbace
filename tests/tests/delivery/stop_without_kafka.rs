//! A host is asked to stop while Kafka is away: it ends in time, with success, and its work is done elsewhere.

use std::time::Duration;

use millstream_tests::fault_proxy::Direction;
use millstream_tests::fixture::FunctionFixture;
use millstream_tests::host::{Host, HostOptions};
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::process::free_port;
use millstream_tests::unique;

use super::fault_run::FaultRun;

for_both_guarantees!(broker_killed, broker_silent, silent_while_joining);

const DRAIN: Duration = Duration::from_secs(4);

/// What is promised: `drain_timeout` and 15 s.
const STOPS_WITHIN: Duration = Duration::from_secs(4 + 15);

const SLOW_CALLS: &str = "ordering = \"key\"\nconcurrency = 8";

fn sections() -> String {
    format!("[delivery]\ndrain_timeout = \"{}s\"\n", DRAIN.as_secs())
}

/// Takes Kafka away under load, stops the host, and lets another one finish.
fn stopped_under_load(
    guarantee: Guarantee,
    stem: &str,
    away: impl FnOnce(&FunctionFixture),
    back: impl FnOnce(&FunctionFixture),
) {
    let fixture = FunctionFixture::fragile(stem, guarantee, 8);
    let host = fixture.host();
    fixture.deploy(&host, "sleepy", SLOW_CALLS, &sections());
    let mut run = FaultRun::start(&fixture, oracle::json_inputs(6_000, 100), 1_000);
    run.allow_late_writes();
    run.allow_late_commits();
    run.wait_for(1_500);
    away(&fixture);
    host.terminate_within(STOPS_WITHIN);
    back(&fixture);
    let _successor = fixture.host();
    run.finish(0);
}

fn broker_killed(guarantee: Guarantee) {
    stopped_under_load(guarantee, "stop-killed", |fixture| fixture.kafka.kill(), |fixture| fixture.kafka.start_again());
}

fn broker_silent(guarantee: Guarantee) {
    let silent = |fixture: &FunctionFixture| fixture.kafka.proxy.hold(Direction::Out);
    stopped_under_load(guarantee, "stop-silent", silent, |fixture| fixture.kafka.proxy.heal());
}

/// The function has its revision, but neither partitions nor committed offsets yet.
fn silent_while_joining(guarantee: Guarantee) {
    let fixture = FunctionFixture::fragile("stop-joining", guarantee, 4);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "", &sections());
    fixture.kafka.proxy.hold(Direction::Out);
    host.terminate_within(STOPS_WITHIN);
    fixture.kafka.proxy.heal();
}

#[test]
fn a_host_that_never_reached_kafka_stops() {
    let nowhere = format!("127.0.0.1:{}", free_port());
    let options = HostOptions::new(&nowhere, &unique("stop-nowhere"));
    let host = Host::launch(options, tempfile::tempdir().expect("a folder"));
    millstream_tests::wait_until("the host listens", Duration::from_secs(30), || host.client.is_healthy());
    host.terminate_within(Duration::from_secs(15));
}
