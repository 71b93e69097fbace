//! Calls the guest for the records of a batch, and gives a verdict for each.
//!
//! A batch is one call where the function allows it. After a fault the batch is discarded and its records run again one
//! a call, each with its own limit: one poison record costs one failed attempt, not a batch of them.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millstream_flat::{Answer, Emissions, Verdict, begin_batch, set_attempt};

use crate::invoke::emulate::StartKind;
use crate::invoke::pool::InstancePool;
use crate::model::function::{Isolation, ModuleShape, SharedRevision};
use crate::model::outcome::{CallTime, FaultClass, GuestFault};
use crate::model::trace_context::{AttemptSpan, SpanContext};
use crate::model::work::RecordRef;
use crate::wasm::log::{self, CallRecords};

/// A record to be handled.
#[derive(Debug, Clone)]
pub(crate) struct RecordAttempt {
    pub(crate) record: RecordRef,
    /// 1 for the first.
    pub(crate) number: u32,
    /// Its span, where its trace is recorded.
    pub(crate) traced: Option<Box<AttemptSpan>>,
}

impl RecordAttempt {
    /// An attempt without a span.
    pub(crate) fn new(record: RecordRef, number: u32) -> Self {
        Self { record, number, traced: None }
    }

    /// What its span is called by others, where it has one.
    pub(crate) fn span(&self) -> Option<SpanContext> {
        self.traced.as_ref().map(|traced| traced.own)
    }
}

/// Hears the verdicts, in the order of the records.
pub(crate) trait OutcomeSink: Send {
    /// Whether the record at `index` must not run now, because one before it waits for its retry.
    fn is_held_up(&self, index: usize) -> bool;
    /// Called once for a call, before its outcomes: when it was made.
    fn called(&mut self, _call: CallTime) {}
    /// What became of the record at `index`.
    fn hear(&mut self, index: usize, verdict: Result<Emissions<'_>, GuestFault>);
}

#[derive(Debug)]
pub(crate) struct Invoker {
    revision: SharedRevision,
    pool: InstancePool,
    cluster: Arc<str>,
}

/// What a batch took, for the pace.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BatchDuration {
    /// Records that went through the guest.
    pub(crate) records: usize,
    pub(crate) elapsed: Duration,
    /// Calls for which an instance was started.
    pub(crate) cold: usize,
}

impl Invoker {
    /// An invoker of `revision`, whose instances `pool` holds.
    pub(crate) fn new(revision: SharedRevision, pool: InstancePool, cluster: Arc<str>) -> Self {
        Self { revision, pool, cluster }
    }

    /// The cluster's name in the `source` of records that are not events.
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// See [`InstancePool::memory_hint`].
    pub(crate) fn memory_hint(&self) -> Option<String> {
        self.pool.memory_hint()
    }

    /// Whether several records may share a call.
    fn shares_calls(&self) -> bool {
        self.revision.shape == ModuleShape::MillstreamBatch && self.revision.isolation() != Isolation::Record
    }

    /// Runs `attempts`; `verdicts` gets the outcome of each that is not held up.
    pub(crate) async fn run(&self, attempts: &[RecordAttempt], verdicts: &mut impl OutcomeSink) -> BatchDuration {
        let mut spent = BatchDuration::default();
        let mut start = 0;
        while start < attempts.len() {
            if let Some(reason) = &attempts[start].record.record().undecodable {
                if !verdicts.is_held_up(start) {
                    verdicts.called(CallTime::none());
                    verdicts.hear(start, Err(GuestFault::new(FaultClass::Undecodable, &**reason)));
                }
                start += 1;
                continue;
            }
            let readable = |attempt: &&RecordAttempt| attempt.record.record().undecodable.is_none();
            let end = match self.shares_calls() {
                true => start + attempts[start..].iter().take_while(readable).count(),
                false => start + 1,
            };
            self.run_together(attempts, start..end, verdicts, &mut spent).await;
            start = end;
        }
        spent
    }

    async fn run_together(
        &self,
        attempts: &[RecordAttempt],
        range: std::ops::Range<usize>,
        verdicts: &mut impl OutcomeSink,
        spent: &mut BatchDuration,
    ) {
        if range.len() > 1 {
            let (answer, call) = self.call(&attempts[range.clone()], spent).await;
            if let Ok(bytes) = &answer
                && let Ok(answer) = read(bytes, range.len())
            {
                verdicts.called(call);
                for (index, verdict) in range.zip(answer.verdicts()) {
                    if !verdicts.is_held_up(index) {
                        verdicts.hear(index, judge(verdict));
                    }
                }
                return;
            }
        }
        for index in range {
            if verdicts.is_held_up(index) {
                continue;
            }
            let (answer, call) = self.call(&attempts[index..=index], spent).await;
            verdicts.called(call);
            match answer.as_ref().map_err(Clone::clone).and_then(|bytes| read(bytes, 1)) {
                Ok(answer) => {
                    for verdict in answer.verdicts() {
                        verdicts.hear(index, judge(verdict));
                    }
                }
                Err(fault) => verdicts.hear(index, Err(fault)),
            }
        }
    }

    async fn call(
        &self,
        attempts: &[RecordAttempt],
        spent: &mut BatchDuration,
    ) -> (Result<Vec<u8>, GuestFault>, CallTime) {
        let limit = self.revision.manifest.limits.timeout;
        let now = SystemTime::now();
        let request = request(attempts, now, limit, &self.cluster);
        let started = Instant::now();
        let calling = self.pool.call_telling(&request, attempts.len(), limit);
        // There is no call without a record.
        let (answer, start) = match attempts.first() {
            Some(first) => {
                // A line of a call for many records may be of any of them.
                let span = first.span().filter(|_| attempts.len() == 1);
                let handled = CallRecords { first: first.record.clone(), records: attempts.len(), span };
                log::handling(handled, calling).await
            }
            None => calling.await,
        };
        spent.cold += usize::from(start == StartKind::Cold);
        spent.records += attempts.len();
        let took = started.elapsed();
        spent.elapsed += took;
        (answer, CallTime { started: now, took, is_cold: start == StartKind::Cold })
    }
}

/// The flat batch of a call that is made `now` and may last for `limit`.
pub(crate) fn request(attempts: &[RecordAttempt], now: SystemTime, limit: Duration, cluster: &str) -> Vec<u8> {
    let size: usize = attempts.iter().map(|attempt| attempt.record.flat().len()).sum();
    let mut request = Vec::with_capacity(size + 64 + cluster.len());
    let deadline = now.duration_since(UNIX_EPOCH).unwrap_or_default() + limit;
    begin_batch(&mut request, attempts.len() as u32, deadline.as_millis() as u64, cluster);
    for attempt in attempts {
        let start = request.len();
        request.extend_from_slice(attempt.record.flat());
        if attempt.number != 1 {
            set_attempt(&mut request[start..], attempt.number);
        }
    }
    request
}

/// The answer to a call for so many records.
pub(crate) fn read(bytes: &[u8], records: usize) -> Result<Answer<'_>, GuestFault> {
    let answer = Answer::parse(bytes).map_err(|error| {
        GuestFault::new(FaultClass::InvalidAnswer, format!("the function's answer can't be read: {error}"))
    })?;
    if answer.len() != records {
        return Err(GuestFault::new(
            FaultClass::InvalidAnswer,
            format!("the function answered {} verdicts for {records} records", answer.len()),
        ));
    }
    Ok(answer)
}

/// What the guest emitted, or the failure that it asks for.
pub(crate) fn judge(verdict: Verdict<'_>) -> Result<Emissions<'_>, GuestFault> {
    match verdict {
        Verdict::Emitted(emissions) => Ok(emissions),
        Verdict::Retry { after_ms, reason } => Err(GuestFault {
            retry_after: after_ms.map(Duration::from_millis),
            ..GuestFault::new(FaultClass::Retry, reason)
        }),
        Verdict::Reject { reason } => Err(GuestFault::new(FaultClass::Reject, reason)),
    }
}
