//! A partition that stands still although there is work.

use std::time::Duration;

use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::proxy::{Harm, Request};
use millstream_tests::wait_until;

use super::stage::{PROGRESS, Stage};
use super::trial::Trial;

for_both_guarantees!(partition_without_progress);

/// The answer to a fetch gets lost, all else works, and the consumer would wait for that answer for minutes.
fn partition_without_progress(guarantee: Guarantee) {
    let stage = Stage::fragile("stuck", guarantee, 1);
    let host = stage.host();
    stage.deploy(&host, "uppercase", "", "[kafka]\n\"socket.timeout.ms\" = 300000");
    let mut trial = Trial::start(&stage, oracle::inputs(3_000, 50), 200);
    trial.wait_for(300);
    let proxy = &stage.kafka.proxy;
    proxy.harm(Request::FETCH, Harm::Swallow);
    wait_until("nothing arrives any more", PROGRESS, || trial.watch.last_new().elapsed() > Duration::from_secs(3));
    proxy.heal();
    // The shard is started anew in the same moment; the reason is shown for a while after.
    wait_until("the status says that it stands still, and where", PROGRESS, || {
        let reason = host.client.status(&stage.name)["reason"].to_string();
        let is_said = reason.contains("made no progress") && reason.contains(&stage.input);
        assert!(is_said || trial.watch.distinct() < 3_000, "it went on by itself: the fetch was not stuck");
        is_said
    });
    trial.finish(0);
    wait_until("the status says that it runs", PROGRESS, || host.client.status(&stage.name)["state"] == "running");
}
