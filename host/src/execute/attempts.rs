//! From records to what becomes of them, the one way for all: call, encode, then retry, or a dead letter.

use millstream_flat::Emissions;

use std::time::Duration;

use crate::dispatch::retry::{self, RetryDecision};
use crate::emit::encoder::EmissionEncoder;
use crate::execute::revisions::CallableRevision;
use crate::execute::work::{FailurePolicy, WorkOrigin};
use crate::invoke::call::{BatchDuration, OutcomeSink, RecordAttempt};
use crate::model::outcome::{CallTime, GuestFault};
use crate::model::parcel::Parcel;
use crate::model::work::RecordRef;
use crate::telemetry::otlp::{FinishedSpan, SpanOutcome};

/// Where what becomes of attempts goes. Indexes are those of the attempts.
pub(crate) trait AttemptSink: Send {
    /// Whether a record must not run now, because one before it waits for its retry.
    fn is_held_up(&self, _index: usize) -> bool {
        false
    }

    /// Where to put the messages of a record: what it emitted, or its dead letter.
    fn parcel(&mut self, index: usize) -> &mut Parcel;

    /// The messages of what the guest emitted are in the parcel. A fault here makes it a failed attempt.
    fn emitted(&mut self, index: usize, emissions: &Emissions<'_>) -> Result<(), GuestFault>;

    fn failed(&mut self, index: usize, fault: GuestFault, next: NextStep);
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Another attempt, after this wait.
    Retry(Duration),
    /// Nothing: it was the last one. Where the origin has dead letters, one is in the parcel.
    End,
}

/// How attempts at records of one origin are made.
#[derive(Clone, Copy)]
pub(crate) struct AttemptRun<'a> {
    callable: &'a CallableRevision,
    encoder: &'a EmissionEncoder,
    origin: WorkOrigin,
}

impl<'a> AttemptRun<'a> {
    pub(crate) fn new(callable: &'a CallableRevision, origin: WorkOrigin) -> Self {
        Self { callable, encoder: &callable.encoder, origin }
    }

    /// Encodes with another encoder than the revision's.
    pub(crate) fn encoding_with(self, encoder: &'a EmissionEncoder) -> Self {
        Self { encoder, ..self }
    }

    /// The given attempt at `record`, which begins now.
    #[inline]
    pub(crate) fn begin(&self, record: RecordRef, number: u32) -> RecordAttempt {
        let traced = if self.origin.is_traced() { self.callable.tracer.begin(&record) } else { None };
        RecordAttempt { record, number, traced }
    }

    /// Makes `attempts`, in as few calls as the function allows.
    pub(crate) async fn run(self, attempts: &[RecordAttempt], sink: &mut impl AttemptSink) -> BatchDuration {
        let mut batch = AttemptBatch { run: self, attempts, sink, call: CallTime::none() };
        self.callable.invoker.run(attempts, &mut batch).await
    }

    fn next_step(&self, number: u32, fault: &GuestFault) -> NextStep {
        let policy = self.origin.failure_policy();
        if policy == FailurePolicy::Answer {
            return NextStep::End;
        }
        match retry::decide(&self.callable.revision.manifest.retry, number, fault) {
            RetryDecision::GiveUp => NextStep::End,
            RetryDecision::Again(_) if policy == FailurePolicy::DryRun => NextStep::Retry(Duration::ZERO),
            RetryDecision::Again(wait) => NextStep::Retry(wait),
        }
    }
}

struct AttemptBatch<'a, S> {
    run: AttemptRun<'a>,
    attempts: &'a [RecordAttempt],
    sink: &'a mut S,
    /// The call whose verdicts are heard.
    call: CallTime,
}

impl<S> AttemptBatch<'_, S> {
    fn trace(&self, attempt: &RecordAttempt, became: SpanOutcome<'_>) {
        let RecordAttempt { record, number, traced: Some(traced) } = attempt else { return };
        let (call, trigger) = (self.call, self.run.origin.trigger());
        self.run.callable.tracer.end(&FinishedSpan { record, attempt: *number, traced, call, trigger, became });
    }
}

impl<S: AttemptSink> OutcomeSink for AttemptBatch<'_, S> {
    fn is_held_up(&self, index: usize) -> bool {
        self.sink.is_held_up(index)
    }

    fn called(&mut self, call: CallTime) {
        self.call = call;
    }

    fn hear(&mut self, index: usize, verdict: Result<Emissions<'_>, GuestFault>) {
        let AttemptRun { encoder, origin, .. } = self.run;
        let attempt = &self.attempts[index];
        let encoded = verdict.and_then(|emissions| {
            let parcel = self.sink.parcel(index);
            encoder.emitted(parcel, &attempt.record, attempt.number, attempt.span(), &emissions)?;
            self.sink.emitted(index, &emissions)
        });
        let Err(fault) = encoded else { return self.trace(attempt, SpanOutcome::Emitted) };
        let next = self.run.next_step(attempt.number, &fault);
        let became = match (next, origin.failure_policy()) {
            (NextStep::Retry(_), _) => SpanOutcome::Retried(&fault),
            (NextStep::End, FailurePolicy::Answer) => SpanOutcome::Answered(&fault),
            (NextStep::End, FailurePolicy::DryRun) => SpanOutcome::GivenUp(&fault),
            (NextStep::End, FailurePolicy::DeadLetter) => {
                encoder.dead_letter(self.sink.parcel(index), &attempt.record, &fault, attempt.number);
                SpanOutcome::GivenUp(&fault)
            }
        };
        self.trace(attempt, became);
        self.sink.failed(index, fault, next);
    }
}
