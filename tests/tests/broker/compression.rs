//! Every codec of Kafka, on what functions read and on what they write, with both guarantees.

use std::collections::BTreeSet;

use millstream_tests::fixture::HostFixture;
use millstream_tests::{PROGRESS, kcat, oracle};

const CODECS: [&str; 4] = ["gzip", "snappy", "lz4", "zstd"];
const RECORDS: usize = 2_000;

/// The inputs are written by Kafka's Java producer: its snappy has snappy-java's framing, and its zstd frames do not say
/// how large their content is.
fn every_codec_comes_in_and_goes_out(guarantee: &str) {
    let fixture = HostFixture::new(&format!("codecs-{}", guarantee.replace('_', "-")), 1);
    for codec in CODECS {
        let name = format!("{}-{codec}", fixture.name);
        let (input, output) = (format!("{name}.in"), format!("{name}.out"));
        fixture.kafka.create_topic(&input, 2);
        fixture.kafka.create_topic(&output, 2);
        let inputs = oracle::inputs(RECORDS, 20);
        fixture.kafka.produce_with_java(&input, codec, inputs.clone());
        assert_eq!(fixture.kafka.codecs(&input, 2), BTreeSet::from([codec.to_owned()]), "what the producer wrote");
        let manifest = format!(
            "processing_guarantee = \"{guarantee}\"\nordering = \"key\"\ntopics = [\"{input}\"]\n\
             initial_offset = \"earliest\"\n[outputs]\ndefault = {{ topic = \"{output}\", compression = \"{codec}\" }}\n"
        );
        fixture.host.client.deploy(&name, "uppercase", &manifest);
        fixture.host.client.wait_for_no_lag(&name, PROGRESS);
        let findings = oracle::compare(&inputs, &kcat::read(&fixture.kafka.bootstrap, &output));
        assert_eq!(
            (findings.lost.len(), findings.repeated, findings.foreign.len(), findings.out_of_order.len()),
            (0, 0, 0, 0),
            "{codec}"
        );
        assert_eq!(fixture.kafka.codecs(&output, 2), BTreeSet::from([codec.to_owned()]), "what the function wrote");
    }
}

#[test]
fn every_codec_comes_in_and_goes_out_at_least_once() {
    every_codec_comes_in_and_goes_out("at_least_once");
}

#[test]
fn every_codec_comes_in_and_goes_out_exactly_once() {
    every_codec_comes_in_and_goes_out("exactly_once");
}
