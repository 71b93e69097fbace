//! The out-of-order map beside a committed offset is damaged or incomplete.

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::host::Host;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::wire_client::CommittedOffset;
use millstream_tests::{PROGRESS, kcat, wait_until};

use super::fault_run::FaultRun;

for_both_guarantees!(corrupt_map, map_too_large);

/// Replayed, never skipped.
fn corrupt_map(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("corrupt", guarantee, 1);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "", "");
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, oracle::inputs(100, 10));
    kcat::read_at_least(&fixture.kafka.bootstrap, &fixture.output, 100, PROGRESS);
    let mut folder = host.terminate();
    // "Ag…" begins like a map of this version.
    let damaged = ["no map", "!!!", "AQAB", "AQABBQUAAAAA", "AgABBQUAAAAA", "ÿÿÿÿ"];
    for (round, metadata) in damaged.iter().enumerate() {
        let committed = CommittedOffset { offset: 90, metadata: (*metadata).to_owned() };
        let mut wire = fixture.kafka.wire();
        wait_until("the group has no member", PROGRESS, || {
            wire.commit(&fixture.group(), &fixture.input, 0, &committed).is_ok()
        });
        let mut host = Host::launch(fixture.options(), folder);
        host.wait_until_ready();
        let expected = 100 + 10 * (round + 1);
        let outputs = kcat::read_at_least(&fixture.kafka.bootstrap, &fixture.output, expected, PROGRESS);
        wait_until("all is committed again", PROGRESS, || {
            let found = wire.committed(&fixture.group()).expect("the broker answers");
            found.get(&(fixture.input.clone(), 0)).is_some_and(|committed| committed.offset == 100)
        });
        assert_eq!(outputs.len(), expected, "ten records ran again after {metadata:?}");
        folder = host.terminate();
    }
}

/// Thousands of finished records between thousands of unfinished ones make more ranges than a commit can hold.
fn map_too_large(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("large", guarantee, 1);
    let mut host = fixture.host();
    fixture.deploy(
        &host,
        "faults",
        "ordering = \"key\"\nconcurrency = 8",
        "[retry]\nmax_attempts = 2\nbackoff = \"20s\"\nbackoff_max = \"20s\"\n\
         [delivery]\nmembership = \"static\"\nin_flight = 20000",
    );
    // Every second record waits for its second attempt, each with a key of its own.
    let inputs = oracle::commands(8_000, 8_000, |index| if index % 2 == 0 { "trap" } else { "ok" });
    let mut run = FaultRun::start(&fixture, inputs, 4_000);
    run.wait_for(1_200);
    let mut wire = fixture.kafka.wire();
    wait_until("a long map is committed", PROGRESS, || {
        let found = wire.committed(&fixture.group()).expect("the broker answers");
        found.get(&(fixture.input.clone(), 0)).is_some_and(|committed| committed.metadata.len() > 2_000)
    });
    host.restart();
    run.finish(4_000);
}
