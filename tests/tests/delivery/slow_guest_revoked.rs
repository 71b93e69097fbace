//! A partition is taken away while a slow guest works on it.
//!
//! While a member has not given a partition back, librdkafka fetches none of its others either: they stand still for
//! `drain_timeout` at the most. What must not happen is that they wait for the slow guest.

use std::time::Duration;

use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::{kcat, wait_until};

use super::stage::{PROGRESS, Stage};
use super::trial::Trial;

for_both_guarantees!(partition_revoked_while_a_slow_guest_runs);

/// How long a slow guest runs.
const SLOW: Duration = Duration::from_secs(25);

fn partition_revoked_while_a_slow_guest_runs(guarantee: Guarantee) {
    let stage = Stage::new("slow", guarantee, 4);
    let first = stage.host();
    let sections = format!(
        "[limits]\ntimeout = \"{}s\"\n[retry]\nmax_attempts = 1\n\
         [delivery]\ndrain_timeout = \"3s\"\nbatch_size = 1\nin_flight = 20000",
        SLOW.as_secs()
    );
    stage.deploy(&first, "faults", "ordering = \"key\"\nconcurrency = 16", &sections);
    // The keys lie in all partitions; the first record of each of the first eight keys takes all its time.
    let inputs = oracle::commands(6_000, 40, |index| if index < 8 { "sleep" } else { "ok" });
    let mut trial = Trial::start(&stage, inputs, 400);
    trial.wait_for(200);
    let second = stage.host();
    wait_until("the second host has its share", PROGRESS, || second.client.partitions(&stage.name) > 0);
    let before = trial.watch.by_partition();
    wait_until("every partition goes on", PROGRESS, || {
        let now = trial.watch.by_partition();
        now.len() == 4 && now.iter().all(|(partition, count)| *count > before.get(partition).unwrap_or(&0) + 50)
    });
    assert_eq!(
        first.client.counter(&stage.name, "dead_lettered"),
        0,
        "the slow guests still run: nobody waited for them"
    );
    trial.finish(8);
    let dead = kcat::read(&stage.kafka.bootstrap, &stage.dead());
    assert!(dead.iter().all(|letter| letter.header("millstream-error-class") == Some("timeout")));
}
