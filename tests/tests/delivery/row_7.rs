//! A partition is taken away while a slow guest works on it.

use std::collections::BTreeMap;
use std::time::Instant;

use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::{kcat, wait_until};

use super::stage::{PROGRESS, Stage};
use super::trial::Trial;

for_both_guarantees!(row_7_partition_revoked_while_a_slow_guest_runs);

fn row_7_partition_revoked_while_a_slow_guest_runs(guarantee: Guarantee) {
    let stage = Stage::new("slow", guarantee, 4);
    let first = stage.host();
    stage.deploy(
        &first,
        "faults",
        "ordering = \"key\"\nconcurrency = 16",
        "[limits]\ntimeout = \"12s\"\n[retry]\nmax_attempts = 1\n[delivery]\ndrain_timeout = \"6s\"\nbatch_size = 1\nin_flight = 20000",
    );
    // Keys 000 to 039 lie in all partitions; the first record of each of the first twelve keys takes all its time.
    let inputs = oracle::commands(8_000, 40, |index| if index < 12 { "sleep" } else { "ok" });
    let mut trial = Trial::start(&stage, inputs, 400);
    trial.wait_for(200);
    let second = stage.host();
    let mut seen: Vec<(Instant, BTreeMap<i32, usize>)> = Vec::new();
    wait_until("the second host has its share", PROGRESS, || {
        seen.push((Instant::now(), trial.watch.by_partition()));
        second.client.partitions(&stage.name) > 0
    });
    let status = second.client.status(&stage.name);
    let moved: Vec<i64> = status["partitions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|partition| partition["partition"].as_i64())
        .collect();
    let of = |counts: &BTreeMap<i32, usize>, moved_ones: bool| -> usize {
        let is_asked = |(partition, _): &(&i32, &usize)| moved.contains(&i64::from(**partition)) == moved_ones;
        counts.iter().filter(is_asked).map(|(_, count)| count).sum()
    };
    // Input and output are partitioned alike. The drain began when the moved partitions gave their last output.
    let (_, end) = seen.last().expect("it was looked at");
    let (began, start) = seen.iter().find(|(_, counts)| of(counts, true) == of(end, true)).expect("the last one");
    let went_on = of(end, false) - of(start, false);
    println!("moved {moved:?}; {went_on} records of the others came out in {:?} of draining", began.elapsed());
    assert!(went_on > 100, "only {went_on} records of the other partitions came out while {moved:?} were drained");
    trial.finish(12);
    let dead = kcat::read(&stage.kafka.bootstrap, &stage.dead());
    assert!(dead.iter().all(|letter| letter.header("millstream-error-class") == Some("timeout")));
}
