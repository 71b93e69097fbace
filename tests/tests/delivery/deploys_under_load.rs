//! Two deploys at once, and new revisions and a rollback under load.

use std::collections::{BTreeMap, BTreeSet};

use millstream_tests::client::module;
use millstream_tests::fixture::FunctionFixture;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::{PROGRESS, kcat, wait_until};

use super::fault_run::FaultRun;

for_both_guarantees!(rollback_in_mid_traffic);

fn rollback_in_mid_traffic(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("rollback", guarantee, 4);
    let hosts = [fixture.host(), fixture.host()];
    let top = "ordering = \"key\"\nconcurrency = 8";
    fixture.deploy(&hosts[0], "uppercase", top, "");
    wait_until("both hosts have partitions", PROGRESS, || {
        hosts.iter().all(|host| host.client.partitions(&fixture.name) == 2)
    });
    let mut run = FaultRun::start(&fixture, oracle::json_inputs(8_000, 100), 1_000);
    run.wait_for(1_000);
    fixture.deploy(&hosts[1], "sleepy", top, "");
    run.wait_for(4_000);
    fixture.deploy(&hosts[0], "uppercase", top, "");
    // No host died, so no record may be handled twice under either guarantee.
    let report = run.finish(0);
    assert_eq!(report.repeated, Vec::<String>::new());
    let mut by_revision: BTreeMap<String, usize> = BTreeMap::new();
    for record in kcat::read(&fixture.kafka.bootstrap, &fixture.output) {
        let stamp = record.header("millstreamfunction").or(record.header("ce_millstreamfunction"));
        let stamp = stamp.expect("the revision is stamped on it").to_owned();
        let is_upper = record.text() == record.text().to_uppercase();
        assert_eq!(is_upper, !stamp.ends_with("@2"), "{stamp} wrote {}", record.text());
        *by_revision.entry(stamp).or_default() += 1;
    }
    let revisions: Vec<_> = by_revision.keys().map(|stamp| stamp.rsplit('@').next().unwrap_or_default()).collect();
    assert_eq!(revisions, ["1", "2", "3"], "{by_revision:?}");
}

#[test]
fn two_deploys_at_once() {
    let fixture = FunctionFixture::new("two-deploys", Guarantee::AtLeastOnce, 4);
    let hosts = [fixture.host(), fixture.host()];
    fixture.deploy(&hosts[0], "uppercase", "", "");
    wait_until("the second host knows it", PROGRESS, || {
        hosts[1].client.get("/v1/functions").contains(&format!("\"{}\"", fixture.name))
    });
    for round in 1..=3 {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let deploy = |index: usize| {
                let (client, fixture) = (&hosts[index].client, &fixture);
                scope.spawn(move || {
                    let env = format!("[env]\nDEPLOY = \"{round}-{index}\"");
                    let manifest = format!("name = \"{}\"\n{}", fixture.name, fixture.manifest("", &env));
                    client.put_if(&fixture.name, &manifest, module("uppercase"), &format!("\"{round}\""))
                })
            };
            let deploys = [deploy(0), deploy(1)];
            deploys.into_iter().map(|deploy| deploy.join().expect("an answer")).collect()
        });
        let statuses: BTreeSet<u16> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, BTreeSet::from([200, 412]), "one wins: {answers:?}");
        wait_until("both hosts run the winner", PROGRESS, || {
            let live = |host: usize| hosts[host].client.status(&fixture.name)["revision"].as_u64();
            live(0) == Some(round + 1) && live(1) == Some(round + 1)
        });
    }
}
