//! A partition that makes no progress although it has records.

use std::time::Duration;

use millstream_tests::fault_proxy::{ProxyFault, RequestKind};
use millstream_tests::fixture::FunctionFixture;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::{PROGRESS, wait_until};

use super::fault_run::FaultRun;

for_both_guarantees!(partition_without_progress);

/// Only the response to a fetch is lost, and the consumer would wait minutes for it.
fn partition_without_progress(guarantee: Guarantee) {
    let fixture = FunctionFixture::fragile("stuck", guarantee, 1);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "", "[kafka]\n\"socket.timeout.ms\" = 300000");
    let mut run = FaultRun::start(&fixture, oracle::inputs(3_000, 50), 200);
    run.wait_for(300);
    let proxy = &fixture.kafka.proxy;
    proxy.inject(RequestKind::FETCH, ProxyFault::Swallow);
    wait_until("nothing arrives any more", PROGRESS, || run.reader.last_new().elapsed() > Duration::from_secs(3));
    proxy.heal();
    // The shard restarts at the same moment; the reason is shown for a while afterwards.
    wait_until("the status says that it stands still, and where", PROGRESS, || {
        let reason = host.client.status(&fixture.name)["reason"].to_string();
        let is_said = reason.contains("made no progress") && reason.contains(&fixture.input);
        assert!(is_said || run.reader.distinct() < 3_000, "it continued by itself: the fetch was not stuck");
        is_said
    });
    run.finish(0);
    wait_until("the status says that it runs", PROGRESS, || host.client.status(&fixture.name)["state"] == "running");
}
