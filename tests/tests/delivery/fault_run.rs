//! A run of records through a function while a test injects faults, and the oracle's report on it.

use std::time::Instant;

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::live_reader::LiveReader;
use millstream_tests::offset_sampler::{OffsetSampler, SampledTopics};
use millstream_tests::oracle::{Guarantee, ObservedRecords, OracleReport};
use millstream_tests::paced_producer::PacedProducer;
use millstream_tests::{PROGRESS, kcat, wait_until};

#[derive(Debug)]
pub(super) struct FaultRun<'a> {
    fixture: &'a FunctionFixture,
    inputs: usize,
    pub reader: LiveReader,
    pub producer: PacedProducer,
    samples: OffsetSampler,
    late_writes: bool,
    late_commits: bool,
}

impl<'a> FaultRun<'a> {
    /// Starts the readers, then writes `inputs`, `per_second` of them.
    #[track_caller]
    pub(super) fn start(fixture: &'a FunctionFixture, inputs: Vec<(String, String)>, per_second: usize) -> Self {
        let producer = PacedProducer::start(&fixture.kafka.bootstrap, &fixture.input, inputs.clone(), per_second);
        Self::around(fixture, &inputs, producer)
    }

    /// Starts the readers; `producer` is already writing `inputs`.
    #[track_caller]
    pub(super) fn around(fixture: &'a FunctionFixture, inputs: &[(String, String)], producer: PacedProducer) -> Self {
        let bootstrap = &fixture.kafka.bootstrap;
        let values = inputs.iter().map(|(_, value)| value.clone()).collect();
        let reader = LiveReader::open(bootstrap, &fixture.output, values);
        let samples = OffsetSampler::start(SampledTopics {
            bootstrap: bootstrap.clone(),
            group: fixture.group(),
            input: fixture.input.clone(),
            output: (fixture.output.clone(), FunctionFixture::OUTPUT_PARTITIONS),
            dead: (fixture.dead(), FunctionFixture::DEAD_PARTITIONS),
        });
        Self { fixture, inputs: inputs.len(), reader, producer, samples, late_writes: false, late_commits: false }
    }

    /// Allows a halted host of an at-least-once function to write, when it resumes, records that another host has
    /// finished meanwhile. Nothing fences such a writer.
    pub(super) fn allow_late_writes(&mut self) {
        self.late_writes = self.fixture.guarantee == Guarantee::AtLeastOnce;
    }

    /// Allows a commit of a disconnected at-least-once host to reach Kafka after its successor's: librdkafka keeps it
    /// until it finds the coordinator again. The other checks still require that it is of finished work.
    pub(super) fn allow_late_commits(&mut self) {
        self.late_commits = self.fixture.guarantee == Guarantee::AtLeastOnce;
    }

    /// Waits until `count` inputs have an output.
    #[track_caller]
    pub(super) fn wait_for(&mut self, count: usize) {
        self.reader.wait_for(count, PROGRESS);
    }

    /// Waits until every input has an output, except for `dead` dead letters, and is committed; then checks the run against
    /// the guarantee. The hosts still run.
    #[track_caller]
    pub(super) fn finish(self, dead: usize) -> OracleReport {
        let Self { fixture, inputs, mut reader, producer, samples, late_writes, late_commits } = self;
        producer.finish();
        let written = kcat::read_without_headers(&fixture.kafka.bootstrap, &fixture.input);
        assert_eq!(written.len(), inputs, "every input was written once");
        reader.wait_for(inputs - dead, PROGRESS);
        wait_for_commit(fixture, inputs);
        let samples = samples.close();
        let bootstrap = &fixture.kafka.bootstrap;
        let observed = ObservedRecords {
            inputs: written,
            outputs: kcat::read_without_headers(bootstrap, &fixture.output),
            dead: kcat::read_without_headers(bootstrap, &fixture.dead()),
            samples,
        };
        let mut report = OracleReport::of(&observed);
        if late_writes {
            report.replayed_finished.clear();
        }
        if late_commits {
            report.decreased_commits.clear();
        }
        report.assert_holds(fixture.guarantee);
        assert_eq!(observed.dead.len() - repeated(&observed.dead), dead, "dead letters");
        let (seen_live, tally) = reader.close(observed.outputs.len());
        let mut outputs = observed.outputs;
        outputs.sort_by_key(|record| (record.partition, record.offset));
        assert!(seen_live == outputs, "the concurrent reader sees what a later reader sees");
        assert!(tally.out_of_order.is_empty(), "the concurrent reader saw {:?}", tally.out_of_order);
        let by_kafka = fixture.kafka.group(&fixture.group());
        let committed: i64 = by_kafka.iter().map(|partition| partition.committed).sum();
        assert_eq!(committed, inputs as i64, "Kafka's own tool: {by_kafka:?}");
        report
    }
}

/// Waits until the input is committed up to its end.
#[track_caller]
fn wait_for_commit(fixture: &FunctionFixture, inputs: usize) {
    let mut last = (0, Instant::now());
    wait_until("the last offset is committed", PROGRESS * 2, || {
        // A restarted broker may not be ready for this group yet.
        let committed =
            fixture.kafka.try_wire().and_then(|mut wire| wire.committed(&fixture.group())).unwrap_or_default();
        let at = committed.iter().filter(|((topic, _), _)| *topic == fixture.input);
        let sum: i64 = at.map(|(_, committed)| committed.offset).sum();
        if last.0 != sum {
            last = (sum, Instant::now());
        }
        assert!(last.1.elapsed() < PROGRESS, "no commit for {PROGRESS:?}: {sum} of {inputs}");
        sum >= inputs as i64
    });
}

fn repeated(records: &[kcat::Record]) -> usize {
    let distinct: std::collections::HashSet<_> = records.iter().map(|record| &record.value).collect();
    records.len() - distinct.len()
}
