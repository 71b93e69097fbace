//! A partition is revoked while a slow guest runs.
//!
//! Until a member has returned a revoked partition, librdkafka does not fetch its other partitions either: they pause
//! for `drain_timeout` at most. They must not wait for the slow guest.

use std::time::Duration;

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::{PROGRESS, kcat, wait_until};

use super::fault_run::FaultRun;

for_both_guarantees!(partition_revoked_while_a_slow_guest_runs);

/// How long a slow guest runs.
const SLOW: Duration = Duration::from_secs(25);

fn partition_revoked_while_a_slow_guest_runs(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("slow", guarantee, 4);
    let first = fixture.host();
    let sections = format!(
        "[limits]\ntimeout = \"{}s\"\n[retry]\nmax_attempts = 1\n\
         [delivery]\ndrain_timeout = \"3s\"\nbatch_size = 1\nin_flight = 20000",
        SLOW.as_secs()
    );
    fixture.deploy(&first, "faults", "ordering = \"key\"\nconcurrency = 16", &sections);
    // The keys lie in all partitions; the first record of each of the first eight keys takes all its time.
    let inputs = oracle::commands(6_000, 40, |index| if index < 8 { "sleep" } else { "ok" });
    let mut run = FaultRun::start(&fixture, inputs, 400);
    run.wait_for(200);
    let second = fixture.host();
    wait_until("the second host has its share", PROGRESS, || second.client.partitions(&fixture.name) > 0);
    let before = run.reader.by_partition();
    wait_until("every partition makes progress", PROGRESS, || {
        let now = run.reader.by_partition();
        now.len() == 4 && now.iter().all(|(partition, count)| *count > before.get(partition).unwrap_or(&0) + 50)
    });
    assert_eq!(
        first.client.counter(&fixture.name, "dead_lettered"),
        0,
        "the slow guests still run: the rebalance did not wait for them"
    );
    run.finish(8);
    let dead = kcat::read(&fixture.kafka.bootstrap, &fixture.dead());
    assert!(dead.iter().all(|letter| letter.header("millstream-error-class") == Some("timeout")));
}
