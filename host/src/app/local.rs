//! A function without Kafka: records go through the host's own stages (decode, filter, call, encode) in this process,
//! and what comes out stays in memory. What `millstream test` and `millstream bench` stand on.

pub(crate) mod emission;
pub(crate) mod single_call;
pub(crate) mod starts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use millstream_flat::{Emissions, Record};

use crate::app::local::emission::LocalEmission;
use crate::consume::decode::RawFields;
use crate::emit::encoder::EmissionEncoder;
use crate::execute::attempts::{AttemptRun, AttemptSink, NextStep};
use crate::execute::revisions::CallableRevision;
use crate::execute::work::{PendingWork, WorkOrigin, unfiltered_record};
use crate::invoke::admission::InstanceAdmission;
use crate::invoke::call::{self, BatchDuration, Invoker, RecordAttempt};
use crate::invoke::pool::InstancePool;
use crate::model::batch_bytes::BatchLimits;
use crate::model::clock::now_ms;
use crate::model::function::{Manifest, ModuleShape, Revision, SharedRevision, TopicSelection};
use crate::model::ids::{ArtifactDigest, RevisionNumber};
use crate::model::outcome::GuestFault;
use crate::model::parcel::Parcel;
use crate::model::record::RecordHeaders;
use crate::model::work::RecordRef;
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::telemetry::otlp::FunctionTracer;
use crate::wasm::log::LogSink;
use crate::wasm::{LoadError, LoadedProgram, WasmEngine};

/// What events name as their cluster.
const CLUSTER: &str = "local";
pub(crate) const INSTANCES: u32 = 4;

#[derive(Debug)]
pub(crate) struct LocalFunction {
    program: LoadedProgram,
    revision: SharedRevision,
    compiled_in: Duration,
}

/// A record as Kafka would give it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LocalRecord {
    /// Its topic; without one the function's first.
    pub(crate) topic: Option<String>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    /// Its headers, which say what the value is.
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LocalOutcome {
    /// A filter kept it from the guest.
    Filtered,
    /// The guest emitted these events, perhaps not any, and a host would publish them.
    Emitted(Vec<LocalEmission>),
    Failed(GuestFault),
}

impl LocalFunction {
    /// Loads `module` as the first revision of the function that `manifest` declares.
    pub(crate) async fn load(
        engine: &WasmEngine,
        module: Arc<[u8]>,
        mut manifest: Manifest,
    ) -> Result<Self, LoadError> {
        // Another platform's delays would only make one wait.
        manifest.instances.emulate = None;
        let digest = ArtifactDigest::of(&module);
        let module_bytes = module.len() as u64;
        let loading = Instant::now();
        let program = engine.load(module, digest).await?;
        let compiled_in = loading.elapsed();
        let (number, shape) = (RevisionNumber(1), program.shape());
        let revision = Arc::new(Revision { number, digest, module_bytes, shape, manifest, deployed_at_ms: 0 });
        Ok(Self { program, revision, compiled_in })
    }

    /// How the module is called.
    pub(crate) fn shape(&self) -> ModuleShape {
        self.revision.shape
    }

    /// How long the module took to be inspected, compiled and linked.
    pub(crate) fn compiled_in(&self) -> Duration {
        self.compiled_in
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.revision.manifest
    }

    /// A host of its own for the function: fresh sandboxes, offsets from 0. `env` is added to the
    /// manifest's. To be called on a runtime.
    pub(crate) fn session(&self, env: &BTreeMap<String, String>, logs: LogSink) -> LocalSession {
        let manifest = &self.revision.manifest;
        let mut all = manifest.env.clone();
        all.extend(env.iter().map(|(name, value)| (name.clone(), value.clone())));
        let metrics = Arc::new(FunctionMetrics::default());
        let sandbox = self.program.sandbox_with(&manifest.limits, &all, Arc::clone(&metrics), logs);
        let admission = Arc::new(InstanceAdmission::new(INSTANCES as usize));
        let pool = InstancePool::new(sandbox, &manifest.instances, admission, Arc::clone(&metrics));
        let callable = CallableRevision {
            revision: Arc::clone(&self.revision),
            invoker: Invoker::new(Arc::clone(&self.revision), pool, CLUSTER.into()),
            encoder: EmissionEncoder::new(&self.revision, &BatchLimits::default()),
            tracer: FunctionTracer::default(),
            batches: BatchLimits::default(),
        };
        LocalSession { callable, metrics, next_offset: 0 }
    }

    /// The flat batch of a call with `record` alone. No filter applies.
    fn request(&self, record: &LocalRecord, limit: Duration) -> Vec<u8> {
        let headers = record.headers();
        let fields = record.fields(first_topic(&self.revision.manifest), 0, &headers);
        let attempt = RecordAttempt::new(unfiltered_record(&fields, &self.revision), 1);
        call::request(&[attempt], SystemTime::now(), limit, CLUSTER)
    }
}

impl LocalRecord {
    fn headers(&self) -> RecordHeaders<'_> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect()
    }

    fn fields<'a>(&'a self, topic: &'a str, offset: i64, headers: &'a RecordHeaders<'a>) -> RawFields<'a> {
        RawFields {
            topic,
            partition: 0,
            offset,
            timestamp_ms: i64::try_from(now_ms()).ok(),
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers,
        }
    }
}

#[derive(Debug)]
pub(crate) struct LocalSession {
    callable: CallableRevision,
    metrics: Arc<FunctionMetrics>,
    next_offset: i64,
}

impl LocalSession {
    /// Handles one record, as the given attempt, and says what became of it.
    pub(crate) async fn handle(&mut self, record: &LocalRecord, attempt: u32) -> LocalOutcome {
        let work = self.work(record.topic.as_deref(), std::slice::from_ref(record));
        let mut outcome = LocalOutcome::Filtered;
        self.run(work, attempt, |record, became| outcome = LocalOutcome::of(record, became)).await;
        outcome
    }

    /// Handles records of the function's first topic together, in one call of the guest where its shape and its
    /// isolation allow it. What it emits is encoded and thrown away; `note` gets how many events each record led to.
    pub(crate) async fn handle_all(
        &mut self,
        records: &[LocalRecord],
        mut note: impl FnMut(Result<usize, GuestFault>) + Send,
    ) -> BatchDuration {
        let work = self.work(None, records);
        self.run(work, 1, |_, became| note(became.map(Emissions::len))).await
    }

    /// The most linear memory that one of its sandboxes ever had, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        u64::try_from(self.metrics.memory_high_water_bytes.get()).unwrap_or_default()
    }

    pub(crate) fn cold_starts(&self) -> u64 {
        self.metrics.cold_starts.get()
    }

    /// The records as a consumer would hand them over.
    fn work(&mut self, topic: Option<&str>, records: &[LocalRecord]) -> PendingWork {
        let topic = topic.unwrap_or_else(|| first_topic(&self.callable.revision.manifest));
        let mut work = self.callable.work(WorkOrigin::Local);
        for record in records {
            let headers = record.headers();
            work.add(&record.fields(topic, self.next_offset, &headers));
            self.next_offset += 1;
        }
        work.finish()
    }

    /// Makes one attempt at each record; `note` gets what became of it.
    async fn run(
        &self,
        work: PendingWork,
        number: u32,
        note: impl FnMut(&RecordRef, Result<&Emissions<'_>, GuestFault>) + Send,
    ) -> BatchDuration {
        let run = AttemptRun::new(&self.callable, WorkOrigin::Local);
        let records = work.in_order();
        let attempts: Vec<RecordAttempt> = records.into_iter().map(|(_, record)| run.begin(record, number)).collect();
        let mut sink = LocalSink { attempts: &attempts, parcel: Parcel::default(), note };
        run.run(&attempts, &mut sink).await
    }
}

fn first_topic(manifest: &Manifest) -> &str {
    match &manifest.topics {
        TopicSelection::Named(topics) => topics.first().map_or("input", String::as_str),
        TopicSelection::Pattern(_) => "input",
    }
}

impl LocalOutcome {
    fn of(record: &RecordRef, became: Result<&Emissions<'_>, GuestFault>) -> Self {
        let emissions = match became {
            Ok(emissions) => emissions,
            Err(fault) => return Self::Failed(fault),
        };
        let input = Record::reread(record.flat(), CLUSTER).ok();
        let key = input.as_ref().and_then(Record::key);
        Self::Emitted(emissions.iter().map(|emission| LocalEmission::of(&emission, key)).collect())
    }
}

/// Encodes as a host would, and throws the messages away.
struct LocalSink<'a, F> {
    attempts: &'a [RecordAttempt],
    parcel: Parcel,
    note: F,
}

impl<F> AttemptSink for LocalSink<'_, F>
where
    F: FnMut(&RecordRef, Result<&Emissions<'_>, GuestFault>) + Send,
{
    fn parcel(&mut self, _index: usize) -> &mut Parcel {
        &mut self.parcel
    }

    fn emitted(&mut self, index: usize, emissions: &Emissions<'_>) -> Result<(), GuestFault> {
        (self.note)(&self.attempts[index].record, Ok(emissions));
        Ok(())
    }

    fn failed(&mut self, index: usize, fault: GuestFault, _next: NextStep) {
        (self.note)(&self.attempts[index].record, Err(fault));
    }
}
