//! Two deploys at once, and one revision after the other while records flow.

use std::collections::{BTreeMap, BTreeSet};

use millstream_tests::client::module;
use millstream_tests::kcat;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::wait_until;

use super::stage::{PROGRESS, Stage};
use super::trial::Trial;

for_both_guarantees!(rollback_in_mid_traffic);

fn rollback_in_mid_traffic(guarantee: Guarantee) {
    let stage = Stage::new("rollback", guarantee, 4);
    let hosts = [stage.host(), stage.host()];
    let top = "ordering = \"key\"\nconcurrency = 8";
    stage.deploy(&hosts[0], "uppercase", top, "");
    wait_until("both hosts have partitions", PROGRESS, || {
        hosts.iter().all(|host| host.client.partitions(&stage.name) == 2)
    });
    let mut trial = Trial::start(&stage, oracle::json_inputs(8_000, 100), 1_000);
    trial.wait_for(1_000);
    stage.deploy(&hosts[1], "sleepy", top, "");
    trial.wait_for(4_000);
    stage.deploy(&hosts[0], "uppercase", top, "");
    // Nobody died: nothing may be handled twice, whatever the guarantee.
    let verdict = trial.finish(0);
    assert_eq!(verdict.repeated, Vec::<String>::new());
    let mut by_revision: BTreeMap<String, usize> = BTreeMap::new();
    for record in kcat::read(&stage.kafka.bootstrap, &stage.output) {
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
    let stage = Stage::new("two-deploys", Guarantee::AtLeastOnce, 4);
    let hosts = [stage.host(), stage.host()];
    stage.deploy(&hosts[0], "uppercase", "", "");
    wait_until("the second host knows it", PROGRESS, || {
        hosts[1].client.get("/v1/functions").contains(&format!("\"{}\"", stage.name))
    });
    for round in 1..=3 {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let deploy = |index: usize| {
                let (client, stage) = (&hosts[index].client, &stage);
                scope.spawn(move || {
                    let env = format!("[env]\nDEPLOY = \"{round}-{index}\"");
                    let manifest = format!("name = \"{}\"\n{}", stage.name, stage.manifest("", &env));
                    client.put_if(&stage.name, &manifest, module("uppercase"), &format!("\"{round}\""))
                })
            };
            let deploys = [deploy(0), deploy(1)];
            deploys.into_iter().map(|deploy| deploy.join().expect("an answer")).collect()
        });
        let statuses: BTreeSet<u16> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, BTreeSet::from([200, 412]), "one wins: {answers:?}");
        wait_until("both hosts run the winner", PROGRESS, || {
            let live = |host: usize| hosts[host].client.status(&stage.name)["revision"].as_u64();
            live(0) == Some(round + 1) && live(1) == Some(round + 1)
        });
    }
}
