//! An emission that is too large for its topic.

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::kcat;
use millstream_tests::oracle::{self, Guarantee};

use super::fault_run::FaultRun;

for_both_guarantees!(emission_too_large, many_small_emissions_fit);

/// `max.message.bytes` of the output topic, which limits a batch as well as a single record.
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

/// The limit also applies to batches: small emissions sent together must not be treated as too large.
fn many_small_emissions_fit(guarantee: Guarantee) {
    let fixture = small_output("small", guarantee);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "ordering = \"key\"\nconcurrency = 8", "");
    FaultRun::start(&fixture, oracle::inputs(5_000, 50), 20_000).finish(0);
}
