//! Records that flow through a function while a test does harm, and the judgement afterwards.

use std::time::Instant;

use millstream_tests::flow::Flow;
use millstream_tests::glances::{Glances, Scene};
use millstream_tests::kcat;
use millstream_tests::oracle::{Evidence, Guarantee, Verdict};
use millstream_tests::wait_until;
use millstream_tests::watch::Watch;

use super::stage::{DEAD_PARTITIONS, OUTPUT_PARTITIONS, PROGRESS, Stage};

/// See the module.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    stage: &'a Stage,
    inputs: usize,
    /// The concurrent reader of the output.
    pub watch: Watch,
    /// The producer of the input.
    pub flow: Flow,
    glances: Glances,
    late_writes: bool,
    late_commits: bool,
}

impl<'a> Trial<'a> {
    /// Starts the readers, then writes `inputs`, `per_second` of them.
    #[track_caller]
    pub(super) fn start(stage: &'a Stage, inputs: Vec<(String, String)>, per_second: usize) -> Self {
        let flow = Flow::start(&stage.kafka.bootstrap, &stage.input, inputs.clone(), per_second);
        Self::around(stage, &inputs, flow)
    }

    /// Starts the readers around a flow of `inputs` that is under way.
    #[track_caller]
    pub(super) fn around(stage: &'a Stage, inputs: &[(String, String)], flow: Flow) -> Self {
        let bootstrap = &stage.kafka.bootstrap;
        let values = inputs.iter().map(|(_, value)| value.clone()).collect();
        let watch = Watch::open(bootstrap, &stage.output, values);
        let glances = Glances::start(Scene {
            bootstrap: bootstrap.clone(),
            group: stage.group(),
            input: stage.input.clone(),
            output: (stage.output.clone(), OUTPUT_PARTITIONS),
            dead: (stage.dead(), DEAD_PARTITIONS),
        });
        Self { stage, inputs: inputs.len(), watch, flow, glances, late_writes: false, late_commits: false }
    }

    /// Allows a halted host of an at-least-once function to write what it had in hand when it goes on, although another
    /// one has finished it meanwhile. Nothing fences such a writer.
    pub(super) fn allow_late_writes(&mut self) {
        self.late_writes = self.stage.guarantee == Guarantee::AtLeastOnce;
    }

    /// Allows a commit of an at-least-once host that was cut off to reach Kafka after its successor's: librdkafka keeps it
    /// until it finds the coordinator again. It is of finished work all the same, which the other checks hold.
    pub(super) fn allow_late_commits(&mut self) {
        self.late_commits = self.stage.guarantee == Guarantee::AtLeastOnce;
    }

    /// Waits until `count` inputs came out.
    #[track_caller]
    pub(super) fn wait_for(&mut self, count: usize) {
        self.watch.wait_for(count, PROGRESS);
    }

    /// Waits until every input has come out, but for `dead` that are given up, and is committed; then everything must be
    /// as the stage's guarantee says. The hosts still run.
    #[track_caller]
    pub(super) fn finish(self, dead: usize) -> Verdict {
        let Self { stage, inputs, mut watch, flow, glances, late_writes, late_commits } = self;
        flow.finish();
        let written = kcat::read_without_headers(&stage.kafka.bootstrap, &stage.input);
        assert_eq!(written.len(), inputs, "every input was written once");
        watch.wait_for(inputs - dead, PROGRESS);
        wait_for_commit(stage, inputs);
        let glances = glances.close();
        let bootstrap = &stage.kafka.bootstrap;
        let evidence = Evidence {
            inputs: written,
            outputs: kcat::read_without_headers(bootstrap, &stage.output),
            dead: kcat::read_without_headers(bootstrap, &stage.dead()),
            glances,
        };
        let mut verdict = Verdict::of(&evidence);
        if late_writes {
            verdict.replayed_finished.clear();
        }
        if late_commits {
            verdict.went_back.clear();
        }
        verdict.assert_holds(stage.guarantee);
        assert_eq!(evidence.dead.len() - repeated(&evidence.dead), dead, "dead letters");
        let (seen_live, ledger) = watch.close(evidence.outputs.len());
        let mut outputs = evidence.outputs;
        outputs.sort_by_key(|record| (record.partition, record.offset));
        assert!(seen_live == outputs, "who reads while records flow sees what who reads later sees");
        assert!(ledger.out_of_order.is_empty(), "the concurrent reader saw {:?}", ledger.out_of_order);
        let by_kafka = stage.kafka.group(&stage.group());
        let committed: i64 = by_kafka.iter().map(|partition| partition.committed).sum();
        assert_eq!(committed, inputs as i64, "Kafka's own tool: {by_kafka:?}");
        verdict
    }
}

/// Waits until the offsets of the input are committed up to its end.
#[track_caller]
fn wait_for_commit(stage: &Stage, inputs: usize) {
    let mut last = (0, Instant::now());
    wait_until("the last offset is committed", PROGRESS * 2, || {
        // A broker that was started again may not be ready for this group yet.
        let committed = stage.kafka.try_wire().and_then(|mut wire| wire.committed(&stage.group())).unwrap_or_default();
        let at = committed.iter().filter(|((topic, _), _)| *topic == stage.input);
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
