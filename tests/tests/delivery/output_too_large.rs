//! An emission that its topic does not take.

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::kcat;
use millstream_tests::oracle::{self, Guarantee};

use super::fault_run::FaultRun;

for_both_guarantees!(emission_too_large, many_small_emissions_fit);

/// What the output topic takes at most: of a batch of records as well as of one.
const LARGEST: &str = "4000";

fn small_output(stem: &str, guarantee: Guarantee) -> FunctionFixture {
    let fixture = FunctionFixture::new(stem, guarantee, 4);
    let mut wire = fixture.kafka.wire();
    wire.delete_topic(&fixture.output).expect("it was there");
    wire.create_topic(&fixture.output, FunctionFixture::OUTPUT_PARTITIONS, &[("max.message.bytes", LARGEST)])
        .expect("a new topic");
    fixture
}

fn emission_too_large(guarantee: Guarantee) {
    let fixture = small_output("too-large", guarantee);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "ordering = \"key\"\nconcurrency = 8", "");
    let mut inputs = oracle::inputs(2_000, 50);
    for (_, value) in inputs.iter_mut().skip(100).step_by(200) {
        value.push_str(&"x".repeat(9_000));
    }
    FaultRun::start(&fixture, inputs, 1_000).finish(10);
    for letter in kcat::read(&fixture.kafka.bootstrap, &fixture.dead()) {
        assert_eq!(letter.header("millstream-error-class"), Some("output-refused"));
        let message = letter.header("millstream-error-message").unwrap_or_default();
        assert!(message.contains("raise max.message.bytes of the topic"), "{message}");
        assert!(letter.text().len() > 9_000, "the record itself is in its dead letter");
    }
}

/// The topic's limit is for a batch too: small emissions that are sent together must not be taken for large ones.
fn many_small_emissions_fit(guarantee: Guarantee) {
    let fixture = small_output("small", guarantee);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "ordering = \"key\"\nconcurrency = 8", "");
    FaultRun::start(&fixture, oracle::inputs(5_000, 50), 20_000).finish(0);
}
