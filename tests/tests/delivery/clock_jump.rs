//! The wall clock jumps by an hour, forth and back.

use std::time::Duration;

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::skewed_clock::SkewedClock;

use super::fault_run::FaultRun;

for_both_guarantees!(clock_jumps);

const HOUR: Duration = Duration::from_secs(3600);

fn clock_jumps(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("clock", guarantee, 4);
    let clock = SkewedClock::new();
    let host = fixture.host_with(clock.on(fixture.options()));
    fixture.deploy(&host, "sleepy", "ordering = \"key\"\nconcurrency = 8", "");
    let mut run = FaultRun::start(&fixture, oracle::json_inputs(6_000, 100), 1_000);
    run.wait_for(1_000);
    clock.be_fast_by(HOUR);
    run.wait_for(2_500);
    clock.be_slow_by(HOUR);
    run.wait_for(4_000);
    clock.be_fast_by(Duration::ZERO);
    let report = run.finish(0);
    // Nothing timed out: no call of a guest, no member, no transaction.
    assert_eq!(report.repeated, Vec::<String>::new());
    assert_eq!(
        (host.client.counter(&fixture.name, "retried"), host.client.counter(&fixture.name, "dead_lettered")),
        (0, 0)
    );
    let log = host.log();
    assert!(!log.contains("partitions were lost"), "{log}");
}
