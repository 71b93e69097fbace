//! Runs records to their end: until each has emitted, or has failed for good. For records that no consumer takes, whose
//! outcomes are the caller's to write, or to throw away.

use std::time::Duration;

use futures_util::future;
use millstream_flat::Emissions;
use parking_lot::Mutex;

use crate::dispatch::lanes::{BatchEnd, Lanes};
use crate::dispatch::pace::{BatchBounds, RecordPace};
use crate::execute::attempts::{AttemptRun, AttemptSink, NextStep};
use crate::execute::revisions::CallableRevision;
use crate::execute::work::{PendingWork, WorkOrigin};
use crate::invoke::call::BatchDuration;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::model::parcel::Parcel;
use crate::model::work::{RecordRef, WorkBatch};

/// What became of a record.
#[derive(Debug)]
pub(crate) struct RecordOutcome {
    /// What it emitted, or its dead letter: as for a record of a consumer.
    pub(crate) parcel: Parcel,
    /// How many events it emitted, or why it failed.
    pub(crate) outcome: Result<usize, GuestFault>,
}

/// One record at a time.
const SINGLE: BatchBounds = BatchBounds { of_one_lane: 1, in_all: 1 };

/// Runs records in the lanes of the manifest's ordering: those of one lane one after another, as many lanes at once as
/// the function has. Gives the outcomes by the numbers of the records; none for one that a filter keeps away.
pub(crate) async fn run_in_lanes(callable: &CallableRevision, work: PendingWork) -> Vec<Option<RecordOutcome>> {
    let PendingWork { origin, added, chunks, numbers } = work;
    let manifest = &callable.revision.manifest;
    let mut lanes = Lanes::new(manifest.ordering);
    chunks.into_iter().for_each(|chunk| lanes.push(chunk));
    let lanes = Mutex::new(lanes);
    let take = || -> Option<WorkBatch> { lanes.lock().take(SINGLE) };
    let worker = || async {
        let mut done = Vec::new();
        while let Some(batch) = take() {
            for part in &batch.parts {
                for record in part.span.each() {
                    let number = numbers[record.chunk.lease.epoch as usize][record.index as usize];
                    let (mut outcome, _) = run_to_end(callable, origin, std::slice::from_ref(&record)).await;
                    done.push((number, outcome.pop()));
                }
                // A lane is held while its record waits for a retry: what follows must come after it.
                lanes.lock().settle(part.lane, part.span.chunk.lease.epoch, 1, BatchEnd::Finished);
            }
        }
        done
    };
    let workers = (0..manifest.concurrency.clamp(1, added.max(1))).map(|_| worker());
    let mut outcomes: Vec<Option<RecordOutcome>> = (0..added).map(|_| None).collect();
    for (number, outcome) in future::join_all(workers).await.into_iter().flatten() {
        outcomes[number] = outcome;
    }
    outcomes
}

/// Runs records in their order, several in a call where the function allows it and `pace` says that it is quick. Gives
/// the outcomes by the numbers of the records; none for one that a filter keeps away.
pub(crate) async fn run_in_order(
    callable: &CallableRevision,
    work: PendingWork,
    pace: &RecordPace,
) -> Vec<Option<RecordOutcome>> {
    let origin = work.origin;
    let mut outcomes: Vec<Option<RecordOutcome>> = (0..work.added).map(|_| None).collect();
    let (numbers, records): (Vec<usize>, Vec<RecordRef>) = work.in_order().into_iter().unzip();
    let most = callable.revision.manifest.delivery.batch_size.max(1);
    let mut done = 0;
    while done < records.len() {
        let end = (done + pace.portion(most).of_one_lane.max(1)).min(records.len());
        let (ran, spent) = run_to_end(callable, origin, &records[done..end]).await;
        pace.note(spent.records, spent.elapsed);
        for (number, outcome) in numbers[done..end].iter().zip(ran) {
            outcomes[*number] = Some(outcome);
        }
        done = end;
    }
    outcomes
}

/// Makes the first attempt at all of `records` together, then the others at each by itself. Gives what the first took.
async fn run_to_end(
    callable: &CallableRevision,
    origin: WorkOrigin,
    records: &[RecordRef],
) -> (Vec<RecordOutcome>, BatchDuration) {
    let run = AttemptRun::new(callable, origin);
    let attempts: Vec<_> = records.iter().map(|record| run.begin(record.clone(), 1)).collect();
    let mut first = CompletionSink::new(records.len());
    let spent = run.run(&attempts, &mut first).await;
    let mut outcomes = Vec::with_capacity(records.len());
    for (record, mut state) in records.iter().zip(first.0) {
        let mut number = 1;
        while let Some(wait) = state.retry {
            // A timer rounds up to a millisecond.
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            number += 1;
            let mut sink = CompletionSink(vec![RecordState { parcel: state.parcel, ..RecordState::default() }]);
            run.run(&[run.begin(record.clone(), number)], &mut sink).await;
            state = sink.0.pop().unwrap_or_default();
        }
        let unheard = || Err(GuestFault::new(FaultClass::InvalidAnswer, "the function gave no verdict"));
        outcomes.push(RecordOutcome { parcel: state.parcel, outcome: state.outcome.unwrap_or_else(unheard) });
    }
    (outcomes, spent)
}

struct CompletionSink(Vec<RecordState>);

#[derive(Default)]
struct RecordState {
    parcel: Parcel,
    outcome: Option<Result<usize, GuestFault>>,
    /// The wait before the next attempt, where there is one.
    retry: Option<Duration>,
}

impl CompletionSink {
    fn new(records: usize) -> Self {
        Self((0..records).map(|_| RecordState::default()).collect())
    }
}

impl AttemptSink for CompletionSink {
    fn parcel(&mut self, index: usize) -> &mut Parcel {
        &mut self.0[index].parcel
    }

    fn emitted(&mut self, index: usize, emissions: &Emissions<'_>) -> Result<(), GuestFault> {
        self.0[index].outcome = Some(Ok(emissions.len()));
        Ok(())
    }

    fn failed(&mut self, index: usize, fault: GuestFault, next: NextStep) {
        match next {
            NextStep::Retry(wait) => self.0[index].retry = Some(wait),
            NextStep::End => self.0[index].outcome = Some(Err(fault)),
        }
    }
}
