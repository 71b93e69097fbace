//! The wall clock jumps by an hour, forth and back.

use std::time::Duration;

use millstream_tests::clock::Clock;
use millstream_tests::oracle::{self, Guarantee};

use super::stage::Stage;
use super::trial::Trial;

for_both_guarantees!(clock_jumps);

const HOUR: Duration = Duration::from_secs(3600);

fn clock_jumps(guarantee: Guarantee) {
    let stage = Stage::new("clock", guarantee, 4);
    let clock = Clock::new();
    let host = stage.host_with(clock.on(stage.options()));
    stage.deploy(&host, "sleepy", "ordering = \"key\"\nconcurrency = 8", "");
    let mut trial = Trial::start(&stage, oracle::json_inputs(6_000, 100), 1_000);
    trial.wait_for(1_000);
    clock.be_fast_by(HOUR);
    trial.wait_for(2_500);
    clock.be_slow_by(HOUR);
    trial.wait_for(4_000);
    clock.be_fast_by(Duration::ZERO);
    let verdict = trial.finish(0);
    // Nothing timed out: no call of a guest, no member, no transaction.
    assert_eq!(verdict.repeated, Vec::<String>::new());
    assert_eq!(
        (host.client.counter(&stage.name, "retried"), host.client.counter(&stage.name, "dead_lettered")),
        (0, 0)
    );
    let log = host.log();
    assert!(!log.contains("partitions were lost"), "{log}");
}
