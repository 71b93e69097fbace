//! Poison records, and a host that is killed while it retries them.

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::kcat;
use millstream_tests::oracle::{self, Guarantee};

use super::fault_run::FaultRun;

for_both_guarantees!(poison_record);

fn poison_record(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("poison", guarantee, 4);
    let mut host = fixture.host();
    fixture.deploy(
        &host,
        "faults",
        "ordering = \"key\"\nconcurrency = 8",
        "[retry]\nmax_attempts = 3\nbackoff = \"200ms\"\n[delivery]\nmembership = \"static\"",
    );
    let inputs = oracle::commands(4_000, 37, |index| if index % 100 == 50 { "trap" } else { "ok" });
    let mut run = FaultRun::start(&fixture, inputs, 800);
    for out in [800, 2_000] {
        run.wait_for(out);
        host.restart();
    }
    run.finish(40);
    for letter in kcat::read(&fixture.kafka.bootstrap, &fixture.dead()) {
        let header = |name| letter.header(name);
        assert_eq!((header("millstream-error-class"), header("millstream-attempts")), (Some("trap"), Some("3")));
        assert_eq!(header("millstream-topic"), Some(fixture.input.as_str()));
        assert!(letter.text().starts_with("trap:"), "{letter:?}");
    }
}
