//! Runs a module on one event without Kafka and without a host: what `millstream invoke FILE.wasm` does.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment, SystemTime, UNIX_EPOCH};

use millstream_flat::{Answer, Emission, RecordFields, Verdict, begin_batch, write_record};

use crate::model::function::{FunctionLimits, ModuleShape};
use crate::model::ids::ArtifactDigest;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::log::{GuestLogSink, Level, LogSink};
use crate::wasm::{EngineError, EngineOptions, GuestInstance, LoadError, StartError, WasmEngine};

/// Why there was no run at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Load(#[from] LoadError),
}

#[derive(Debug)]
pub(crate) struct RunReport {
    /// How the module is called.
    pub(crate) shape: ModuleShape,
    /// What the guest made of the event.
    pub(crate) outcome: LocalOutcome,
    /// Time to compile the module.
    pub(crate) compile: Duration,
    /// Time to start an instance and to call it for the first time.
    pub(crate) cold: Duration,
    /// Time of a second call with the same event, where the first one left the instance healthy.
    pub(crate) hot: Option<Duration>,
    /// Bytes of linear memory after the first call.
    pub(crate) memory_bytes: u64,
    /// What the guest wrote in the first call.
    pub(crate) logs: Vec<(Level, String)>,
}

/// What became of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LocalOutcome {
    /// These events, which may be none.
    Emitted(Vec<LocalEmission>),
    /// The guest asks for another attempt.
    Retry {
        after_ms: Option<u64>,
        reason: String,
    },
    /// The guest gave the event up.
    Reject {
        reason: String,
    },
    Fault(GuestFault),
}

/// An event that the guest emitted. What the guest left open, a host fills in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LocalEmission {
    /// The name of the output.
    pub(crate) output: String,
    /// The key; that of the event where the guest set none of its own.
    pub(crate) key: Option<Vec<u8>>,
    /// The context attributes that are set, by name: `id`, `source`, `type`, `subject` … and extensions.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Headers beside the attributes, in order.
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) data: Option<Vec<u8>>,
}

/// Runs `module` on one event, twice if it goes well, under `limits` and with the variables `env`.
pub(crate) async fn run(
    module: Arc<[u8]>,
    event: &RecordFields<'_>,
    limits: &FunctionLimits,
    env: &BTreeMap<String, String>,
) -> Result<RunReport, LocalError> {
    let engine = WasmEngine::new(EngineOptions { max_instances: 1, ..EngineOptions::default() })?;
    let compiling = Moment::now();
    let digest = ArtifactDigest::of(&module);
    let program = engine.load(module, digest).await?;
    let compile = compiling.elapsed();

    let lines = Arc::new(CollectedLines::default());
    let sink: LogSink = Arc::<CollectedLines>::clone(&lines);
    let sandbox = program.sandbox_with(limits, env, Arc::<FunctionMetrics>::default(), sink);
    let request = request(event, limits.timeout);
    let starting = Moment::now();
    let started = sandbox.start().await.map_err(|error| match error {
        StartError::Fault(fault) => fault,
        // There is one place and nobody else.
        StartError::Exhausted => {
            GuestFault::new(FaultClass::Memory, "the module needs more memories or tables than an instance may have")
        }
    });
    let mut report = RunReport {
        shape: program.shape(),
        outcome: LocalOutcome::Emitted(Vec::new()),
        compile,
        cold: Duration::ZERO,
        hot: None,
        memory_bytes: 0,
        logs: Vec::new(),
    };
    match started {
        Err(fault) => {
            report.outcome = LocalOutcome::Fault(fault);
            report.logs = lines.take();
        }
        Ok(mut instance) => {
            let answer = instance.call(&request, 1, limits.timeout).await;
            report.cold = starting.elapsed();
            report.memory_bytes = instance.memory_bytes();
            report.outcome = answer.map_or_else(LocalOutcome::Fault, |answer| outcome(&answer, event));
            report.logs = lines.take();
            report.hot = time_again(&mut instance, &request, limits).await;
        }
    }
    Ok(report)
}

async fn time_again(instance: &mut GuestInstance, request: &[u8], limits: &FunctionLimits) -> Option<Duration> {
    if !instance.is_healthy() {
        return None;
    }
    let calling = Moment::now();
    instance.call(request, 1, limits.timeout).await.ok()?;
    Some(calling.elapsed())
}

fn request(event: &RecordFields<'_>, timeout: Duration) -> Vec<u8> {
    let deadline = SystemTime::now().checked_add(timeout).and_then(|deadline| deadline.duration_since(UNIX_EPOCH).ok());
    let deadline_ms = deadline.map_or(u64::MAX, |deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
    let mut request = Vec::new();
    begin_batch(&mut request, 1, deadline_ms, "local");
    write_record(&mut request, event);
    request
}

fn outcome(answer: &[u8], event: &RecordFields<'_>) -> LocalOutcome {
    let invalid = |reason: String| LocalOutcome::Fault(GuestFault::new(FaultClass::InvalidAnswer, reason));
    let answer = match Answer::parse(answer) {
        Ok(answer) => answer,
        Err(error) => return invalid(format!("the guest's answer cannot be read: {error}")),
    };
    if answer.len() != 1 {
        return invalid(format!("the guest answered {} verdicts for one event", answer.len()));
    }
    match answer.verdicts().next() {
        Some(Verdict::Emitted(emissions)) => {
            LocalOutcome::Emitted(emissions.iter().map(|emission| LocalEmission::of(&emission, event.key)).collect())
        }
        Some(Verdict::Retry { after_ms, reason }) => LocalOutcome::Retry { after_ms, reason: reason.to_owned() },
        Some(Verdict::Reject { reason }) => LocalOutcome::Reject { reason: reason.to_owned() },
        None => invalid("the guest answered no verdict".to_owned()),
    }
}

impl LocalEmission {
    /// What the guest emitted for an event with the key `input_key`.
    pub(crate) fn of(emission: &Emission<'_>, input_key: Option<&[u8]>) -> Self {
        Self {
            output: emission.output().to_owned(),
            key: emission.record_key(input_key).map(<[u8]>::to_vec),
            attributes: emission.attributes().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            headers: emission.headers().map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))).collect(),
            data: emission.data().map(<[u8]>::to_vec),
        }
    }
}

/// Keeps what the guest writes.
#[derive(Default)]
struct CollectedLines(Mutex<Vec<(Level, String)>>);

impl CollectedLines {
    fn take(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl GuestLogSink for CollectedLines {
    fn line(&self, level: Level, line: &str) {
        self.0.lock().push((level, line.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::testing::{guest, limits, typed_guest};

    async fn ran(module: Arc<[u8]>, attempt: u32) -> RunReport {
        let event = RecordFields {
            topic: "bids",
            offset: 7,
            attempt,
            key: Some(b"item-1"),
            data: Some(b"data"),
            ..RecordFields::default()
        };
        run(module, &event, &limits(), &BTreeMap::new()).await.expect("a report")
    }

    #[tokio::test]
    async fn what_is_emitted_is_told_with_what_it_cost() {
        let report = ran(typed_guest(), 1).await;
        let LocalOutcome::Emitted(emissions) = &report.outcome else { panic!("{report:?}") };
        let expected = LocalEmission {
            output: "default".to_owned(),
            key: Some(b"item-1".to_vec()),
            attributes: [("id".to_owned(), "bids/0/7".to_owned())].into(),
            headers: Vec::new(),
            data: Some(b"data".to_vec()),
        };
        assert_eq!(*emissions, [expected]);
        assert_eq!(report.memory_bytes, 128 << 10);
        assert!(report.hot.is_some());
    }

    #[tokio::test]
    async fn a_verdict_without_emissions_is_told() {
        let rejected = ran(typed_guest(), 2).await.outcome;
        assert_eq!(rejected, LocalOutcome::Reject { reason: "bids/0/7".to_owned() });
        let retried = ran(typed_guest(), 3).await.outcome;
        assert_eq!(retried, LocalOutcome::Retry { after_ms: Some(7), reason: "bids".to_owned() });
    }

    #[tokio::test]
    async fn a_fault_is_told_with_its_logs() {
        let body = r#"(call $write (call $get-stderr) (i32.const 1024) (i32.const 5) (i32.const 2048)) (unreachable)"#;
        let report = ran(guest(r#"(data (i32.const 1024) "alas\n")"#, body), 1).await;
        let LocalOutcome::Fault(fault) = &report.outcome else { panic!("{report:?}") };
        assert_eq!(fault.class, FaultClass::Trap);
        assert_eq!(report.logs, [(Level::Warn, "alas".to_owned())]);
        assert_eq!(report.hot, None);
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_a_fault() {
        let outcome = ran(guest("", "(call $answer (local.get $ptr) (i32.const 5))"), 1).await.outcome;
        assert!(
            matches!(&outcome, LocalOutcome::Fault(fault) if fault.class == FaultClass::InvalidAnswer),
            "{outcome:?}"
        );
    }

    #[tokio::test]
    async fn a_module_that_is_none_is_an_error() {
        let event = RecordFields::default();
        let module: Arc<[u8]> = b"no module".as_slice().into();
        let error = run(module, &event, &limits(), &BTreeMap::new()).await.expect_err("refused");
        assert!(error.to_string().contains("not WebAssembly"), "{error}");
    }
}
