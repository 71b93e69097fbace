//! A partition that stands still although there is work.

use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::proxy::{Harm, Request};
use millstream_tests::wait_until;

use super::stage::{PROGRESS, Stage};
use super::trial::Trial;

for_both_guarantees!(row_26_partition_without_progress);

/// One answer to one fetch never comes, and the consumer would wait for it for an hour.
fn row_26_partition_without_progress(guarantee: Guarantee) {
    let stage = Stage::fragile("stuck", guarantee, 1);
    let host = stage.host();
    stage.deploy(&host, "uppercase", "", "[kafka]\n\"socket.timeout.ms\" = 300000");
    let mut trial = Trial::start(&stage, oracle::inputs(2_000, 50), 500);
    trial.wait_for(300);
    let before = stage.kafka.proxy.harmed();
    stage.kafka.proxy.harm_next(1, Request::FETCH, Harm::Hold);
    wait_until("a fetch is held", PROGRESS, || stage.kafka.proxy.harmed() > before);
    let mut was_said = false;
    wait_until("the partition goes on although nothing is healed", PROGRESS * 2, || {
        was_said |= host.client.status(&stage.name)["state"] == "stalled";
        trial.watch.distinct() == 2_000
    });
    assert!(was_said, "the status said that it stalled");
    stage.kafka.proxy.heal();
    trial.finish(0);
}
