//! Synchronous calls of functions: one event, one attempt, under the function's own limits and in its own pool.
//!
//! Knows nothing of HTTP, and nothing of offsets: what such a call emits is encoded as for a record, and written only if
//! the caller asks for it. Filters and retries do not apply; a failure is the caller's to handle.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use millstream_flat::Emissions;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::consume::decode::RawFields;
use crate::emit::encoder::EmissionEncoder;
use crate::emit::structured;
use crate::execute::attempts::{AttemptRun, AttemptSink, NextStep};
use crate::execute::revisions::CallableRevision;
use crate::execute::work::{WorkOrigin, unfiltered_record};
use crate::kafka::produce::publisher::{HostPublisher, PublishError, WrittenPosition};
use crate::model::clock::now_ms;
use crate::model::function::SharedRevision;
use crate::model::ids::FunctionName;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::model::parcel::Parcel;
use crate::model::record::RecordHeaders;
use crate::model::work::RecordRef;
use crate::pipeline::guest_log;
use crate::pipeline::supervisor::FunctionDirectory;
use crate::telemetry::guest_lines::GuestLines;

/// Stands for the topic in the cause of what is emitted: no topic of Kafka can be called so.
pub(crate) const TOPIC: &str = "@call";

/// How long a caller waits until the function is free.
const FREE_WITHIN: Duration = Duration::from_secs(10);

/// An event for a function, in the form of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InvokeEvent {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    /// The headers, which say what the value is.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone)]
pub(crate) struct InvokeCall {
    /// What the function is called with.
    pub(crate) event: InvokeEvent,
    /// Distinguishes the call from others: the same number gives the same ids.
    pub(crate) number: i64,
    /// Whether what is emitted is written to its topics.
    pub(crate) publish: bool,
}

/// What a call led to.
#[derive(Debug)]
pub(crate) struct InvokeResult {
    pub(crate) revision: SharedRevision,
    /// What the guest emitted, or why not.
    pub(crate) outcome: Result<Vec<InvokeEmission>, GuestFault>,
    /// Whether an instance was started for it.
    pub(crate) is_cold: bool,
    /// How long it took, the start of an instance included.
    pub(crate) elapsed: Duration,
    /// What the guest wrote meanwhile: level and line.
    pub(crate) logs: Vec<(&'static str, String)>,
}

/// An event that was emitted.
#[derive(Debug)]
pub(crate) struct InvokeEmission {
    pub(crate) output: String,
    pub(crate) topic: Arc<str>,
    pub(crate) key: Option<Vec<u8>>,
    /// The event in structured JSON, whatever the output's format.
    pub(crate) event: Box<RawValue>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    /// Where it was written, or why not; none when the call does not publish.
    pub(crate) written: Option<Result<WrittenPosition, PublishError>>,
}

/// Why there was no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotCalled {
    /// This host has no running revision.
    #[error("\"{function}\" does not run on this host{}", .reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Unavailable { function: FunctionName, reason: Option<String> },
    /// As many calls as it has lanes are under way.
    #[error("{calls} calls of \"{function}\" are under way, which is its concurrency")]
    Busy { function: FunctionName, calls: usize },
}

/// Calls functions, for callers that wait for the answer.
pub(crate) trait FunctionInvoker: Send + Sync {
    fn call<'a>(&'a self, name: &'a FunctionName, call: InvokeCall) -> BoxFuture<'a, Result<InvokeResult, NotCalled>>;

    /// What the guests of `name` wrote last; nothing when the function is not on this host.
    fn lines(&self, name: &FunctionName) -> Option<Arc<GuestLines>>;
}

/// Calls the functions of a host.
#[derive(Clone)]
pub(crate) struct PipelineInvoker {
    functions: FunctionDirectory,
    publisher: HostPublisher,
}

/// What can be called of a function, and by how many at once.
#[derive(Debug, Default)]
pub(crate) struct OnCall(Mutex<Option<Arc<PreparedCall>>>);

#[derive(Debug)]
struct PreparedCall {
    callable: Arc<CallableRevision>,
    /// Encodes what is only shown.
    answer_encoder: EmissionEncoder,
    places: Semaphore,
    calls: usize,
}

impl OnCall {
    /// Makes `callable` what is called from now on.
    pub(crate) fn set(&self, callable: &Arc<CallableRevision>) {
        let calls = callable.revision.manifest.concurrency;
        let answer_encoder = callable.encoder.in_json();
        let ready = PreparedCall { callable: callable.clone(), answer_encoder, places: Semaphore::new(calls), calls };
        *self.0.lock() = Some(Arc::new(ready));
    }

    /// What is called from now on, for those who take no place.
    pub(crate) fn callable(&self) -> Option<Arc<CallableRevision>> {
        self.get().map(|ready| ready.callable.clone())
    }

    /// What a person should know about the memory of its instances.
    pub(crate) fn memory_hint(&self) -> Option<String> {
        self.get().and_then(|ready| ready.callable.invoker.memory_hint())
    }

    fn get(&self) -> Option<Arc<PreparedCall>> {
        self.0.lock().clone()
    }
}

impl PipelineInvoker {
    /// Calls the functions that `functions` knows, and writes with `publisher`.
    pub(crate) fn new(functions: FunctionDirectory, publisher: HostPublisher) -> Self {
        Self { functions, publisher }
    }

    async fn make(&self, name: &FunctionName, call: InvokeCall) -> Result<InvokeResult, NotCalled> {
        let view = self.functions.view(name);
        let ready = view.as_ref().and_then(|view| view.on_call.get()).ok_or_else(|| NotCalled::Unavailable {
            function: name.clone(),
            reason: view.as_ref().and_then(|view| view.state().2),
        })?;
        let busy = || NotCalled::Busy { function: name.clone(), calls: ready.calls };
        let place = tokio::time::timeout(FREE_WITHIN, ready.places.acquire()).await;
        let _place = place.map_err(|_elapsed| busy())?.map_err(|_closed| busy())?;

        let callable = &*ready.callable;
        // What is written nowhere is encoded for the answer alone.
        let encoder = if call.publish { &callable.encoder } else { &ready.answer_encoder };
        let run = AttemptRun::new(callable, WorkOrigin::Call).encoding_with(encoder);
        let attempt = run.begin(record(&call, &callable.revision), 1);
        let mut answer =
            CallAnswer { encoder, record: attempt.record.clone(), parcel: Parcel::default(), outcome: None };
        let running = run.run(std::slice::from_ref(&attempt), &mut answer);
        let (spent, logs) = guest_log::captured(running).await;
        let CallAnswer { parcel, outcome, .. } = answer;
        // A verdict is heard of each record.
        let unheard = || Err(GuestFault::new(FaultClass::InvalidAnswer, "the function gave no verdict"));
        let mut outcome = outcome.unwrap_or_else(unheard);
        if let Ok(emitted) = &mut outcome
            && call.publish
        {
            for (emission, written) in emitted.iter_mut().zip(self.publisher.publish(&parcel).await) {
                emission.written = Some(written);
            }
        }
        let revision = callable.revision.clone();
        Ok(InvokeResult { revision, outcome, is_cold: spent.cold > 0, elapsed: spent.elapsed, logs })
    }
}

impl FunctionInvoker for PipelineInvoker {
    fn call<'a>(&'a self, name: &'a FunctionName, call: InvokeCall) -> BoxFuture<'a, Result<InvokeResult, NotCalled>> {
        Box::pin(self.make(name, call))
    }

    fn lines(&self, name: &FunctionName) -> Option<Arc<GuestLines>> {
        self.functions.view(name).map(|view| view.lines.clone())
    }
}

/// The event as a record that is in no topic.
fn record(call: &InvokeCall, revision: &SharedRevision) -> RecordRef {
    let InvokeCall { event, number, .. } = call;
    let headers: RecordHeaders<'_> =
        event.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice()))).collect();
    let fields = RawFields {
        topic: TOPIC,
        partition: 0,
        offset: *number,
        timestamp_ms: i64::try_from(now_ms()).ok(),
        key: event.key.as_deref(),
        value: event.value.as_deref(),
        headers: &headers,
    };
    unfiltered_record(&fields, revision)
}

/// Keeps what the guest emitted, as the caller is to see it.
struct CallAnswer<'a> {
    encoder: &'a EmissionEncoder,
    record: RecordRef,
    parcel: Parcel,
    outcome: Option<Result<Vec<InvokeEmission>, GuestFault>>,
}

impl AttemptSink for CallAnswer<'_> {
    fn parcel(&mut self, _index: usize) -> &mut Parcel {
        &mut self.parcel
    }

    fn emitted(&mut self, _index: usize, emissions: &Emissions<'_>) -> Result<(), GuestFault> {
        let mut origin = self.encoder.origin(&self.record);
        let mut shown = Vec::with_capacity(emissions.len());
        for (index, (emission, message)) in emissions.iter().zip(&self.parcel.messages).enumerate() {
            origin.index = index;
            let json = match &message.value {
                Some(value) if self.encoder.is_structured(emission.output()) => self.parcel.slice(value).to_vec(),
                _ => {
                    let mut json = Vec::new();
                    structured::write(&mut json, &emission, &origin, self.encoder.stamp())?;
                    json
                }
            };
            let unreadable = |error: serde_json::Error| GuestFault::new(FaultClass::InvalidAnswer, error.to_string());
            shown.push(InvokeEmission {
                output: emission.output().to_owned(),
                topic: message.topic.clone(),
                key: message.key.as_ref().map(|key| self.parcel.slice(key).to_vec()),
                event: serde_json::from_slice(&json).map_err(unreadable)?,
                headers: emission.headers().map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))).collect(),
                written: None,
            });
        }
        self.outcome = Some(Ok(shown));
        Ok(())
    }

    fn failed(&mut self, _index: usize, fault: GuestFault, _next: NextStep) {
        self.outcome = Some(Err(fault));
    }
}
