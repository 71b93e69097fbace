//! A function without Kafka: records go through the host's own stages (decode, filter, call, encode) in this process,
//! and what comes out stays in memory. What `millstream test` and `millstream bench` stand on.

pub(crate) mod starts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_flat::{Emissions, Record};

use crate::consume::decode::{self, RawFields};
use crate::consume::filter;
use crate::emit::encoder::EmissionEncoder;
use crate::invoke::admission::InstanceAdmission;
use crate::invoke::call::{BatchDuration, Invoker, OutcomeSink, RecordAttempt};
use crate::invoke::local::LocalEmission;
use crate::invoke::pool::InstancePool;
use crate::model::batch_bytes::BatchLimits;
use crate::model::function::{Manifest, ModuleShape, Revision, SharedRevision, TopicSelection};
use crate::model::ids::{ArtifactDigest, RevisionNumber};
use crate::model::lease::PartitionLease;
use crate::model::outcome::GuestFault;
use crate::model::parcel::Parcel;
use crate::model::position::TopicPartition;
use crate::model::record::RecordHeaders;
use crate::model::work::{ChunkRecord, RecordChunk, RecordRef};
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::log::LogSink;
use crate::wasm::{LoadError, LoadedProgram, WasmEngine};

/// What events name as their cluster.
const CLUSTER: &str = "local";
/// How attributes begin that only a host sets: it leaves those of guests out.
const MILLSTREAM: &str = "millstream";
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
    /// The guest emitted these events, which may be none, and a host would publish them.
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

    /// A host of its own for the function: sandboxes that nobody used before, offsets from 0. `env` is added to the
    /// manifest's. To be called on a runtime.
    pub(crate) fn session(&self, env: &BTreeMap<String, String>, logs: LogSink) -> LocalSession {
        let manifest = &self.revision.manifest;
        let mut all = manifest.env.clone();
        all.extend(env.iter().map(|(name, value)| (name.clone(), value.clone())));
        let metrics = Arc::new(FunctionMetrics::default());
        let sandbox = self.program.sandbox_with(&manifest.limits, &all, Arc::clone(&metrics), logs);
        let admission = Arc::new(InstanceAdmission::new(INSTANCES as usize));
        let pool = InstancePool::new(sandbox, &manifest.instances, admission, Arc::clone(&metrics));
        LocalSession {
            invoker: Invoker::new(Arc::clone(&self.revision), pool, CLUSTER.into()),
            encoder: EmissionEncoder::new(&self.revision, &BatchLimits::default()),
            revision: Arc::clone(&self.revision),
            metrics,
            next_offset: 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct LocalSession {
    revision: SharedRevision,
    invoker: Invoker,
    encoder: EmissionEncoder,
    metrics: Arc<FunctionMetrics>,
    next_offset: i64,
}

impl LocalSession {
    /// Handles one record, as the given attempt, and tells what became of it.
    pub(crate) async fn handle(&mut self, record: &LocalRecord, attempt: u32) -> LocalOutcome {
        let chunk = self.chunk(record.topic.as_deref(), std::slice::from_ref(record), passes);
        if chunk.records.is_empty() {
            return LocalOutcome::Filtered;
        }
        let mut kept = Vec::with_capacity(1);
        let mut emitting = EncodingSink::new(self, &chunk, |verdict| kept.push(verdict));
        emitting.run(attempt).await;
        match kept.pop() {
            Some(Ok(emissions)) => LocalOutcome::Emitted(emissions),
            Some(Err(fault)) => LocalOutcome::Failed(fault),
            // Every record that is not held up gets a verdict.
            None => LocalOutcome::Emitted(Vec::new()),
        }
    }

    /// Handles records of the function's first topic together, in one call of the guest where its shape and its
    /// isolation allow it. What it emits is encoded and thrown away; `hear` is told how many events each record led to.
    pub(crate) async fn handle_all(
        &mut self,
        records: &[LocalRecord],
        mut hear: impl FnMut(Result<usize, GuestFault>) + Send,
    ) -> BatchDuration {
        let chunk = self.chunk(None, records, passes);
        let mut counting = EncodingSink::new(self, &chunk, |verdict: Result<EmissionCount, GuestFault>| {
            hear(verdict.map(|EmissionCount(n)| n))
        });
        counting.run(1).await
    }

    /// The most linear memory that one of its sandboxes ever had, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        u64::try_from(self.metrics.memory_high_water_bytes.get()).unwrap_or_default()
    }

    pub(crate) fn cold_starts(&self) -> u64 {
        self.metrics.cold_starts.get()
    }

    /// The records as if there were no filters.
    fn unfiltered(&mut self, records: &[LocalRecord]) -> Arc<RecordChunk> {
        self.chunk(None, records, |_, _| true)
    }

    /// The records as a consumer would hand them over: decoded, and without those that a filter keeps away.
    fn chunk(
        &mut self,
        topic: Option<&str>,
        records: &[LocalRecord],
        passes: impl Fn(&[u8], &Manifest) -> bool,
    ) -> Arc<RecordChunk> {
        let topic = topic.unwrap_or_else(|| first_topic(&self.revision.manifest));
        let lease = Arc::new(PartitionLease::new(TopicPartition::new(topic, 0), 1, self.next_offset));
        let mut chunk =
            RecordChunk { lease, revision: Arc::clone(&self.revision), arena: Vec::new(), records: Vec::new() };
        for record in records {
            let headers: RecordHeaders<'_> =
                record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
            let (from, offset) = (self.next_offset, self.next_offset);
            self.next_offset += 1;
            let fields = RawFields {
                topic,
                partition: 0,
                offset,
                timestamp_ms: Some(now_ms()),
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            };
            let length = chunk.arena.len();
            let decoded = decode::decode(&mut chunk.arena, &fields);
            let flat = &chunk.arena[decoded.flat.start as usize..decoded.flat.end as usize];
            if decoded.undecodable.is_none() && !passes(flat, &self.revision.manifest) {
                chunk.arena.truncate(length);
                continue;
            }
            let undecodable = decoded.undecodable.map(|error| error.0.into());
            chunk.records.push(ChunkRecord {
                from,
                offset,
                flat: decoded.flat,
                original_value: decoded.original_value,
                original_headers: decoded.original_headers,
                key_hash: None,
                undecodable,
            });
        }
        Arc::new(chunk)
    }
}

fn first_topic(manifest: &Manifest) -> &str {
    match &manifest.topics {
        TopicSelection::Named(topics) => topics.first().map_or("input", String::as_str),
        TopicSelection::Pattern(_) => "input",
    }
}

fn passes(flat: &[u8], manifest: &Manifest) -> bool {
    manifest.filters.is_empty()
        || Record::parse(flat, CLUSTER)
            .is_ok_and(|event| filter::passes(&manifest.filters, &|name: &str| event.attribute(name)))
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// How much of what was emitted somebody wants.
trait OutcomeDetail: Send {
    fn of(emissions: &Emissions<'_>, key: Option<&[u8]>) -> Self;
}

impl OutcomeDetail for Vec<LocalEmission> {
    fn of(emissions: &Emissions<'_>, key: Option<&[u8]>) -> Self {
        let left = |name: &str| !name.starts_with(MILLSTREAM);
        let kept = |mut emission: LocalEmission| {
            emission.attributes.retain(|name, _| left(name));
            emission
        };
        emissions.iter().map(|emission| kept(LocalEmission::of(&emission, key))).collect()
    }
}

struct EmissionCount(usize);

impl OutcomeDetail for EmissionCount {
    fn of(emissions: &Emissions<'_>, _key: Option<&[u8]>) -> Self {
        Self(emissions.len())
    }
}

/// Hears verdicts, encodes as a host would, and tells what is left of each.
struct EncodingSink<'a, K, H> {
    session: &'a LocalSession,
    chunk: &'a Arc<RecordChunk>,
    parcel: Parcel,
    hear: H,
    kept: std::marker::PhantomData<fn() -> K>,
}

impl<'a, K: OutcomeDetail, H: FnMut(Result<K, GuestFault>) + Send> EncodingSink<'a, K, H> {
    fn new(session: &'a LocalSession, chunk: &'a Arc<RecordChunk>, hear: H) -> Self {
        Self { session, chunk, parcel: Parcel::default(), hear, kept: std::marker::PhantomData }
    }

    async fn run(&mut self, number: u32) -> BatchDuration {
        let records = 0..self.chunk.records.len() as u32;
        let attempts: Vec<RecordAttempt> = records
            .map(|index| RecordAttempt::new(RecordRef { chunk: Arc::clone(self.chunk), index }, number))
            .collect();
        let session = self.session;
        session.invoker.run(&attempts, self).await
    }
}

impl<K: OutcomeDetail, H: FnMut(Result<K, GuestFault>) + Send> OutcomeSink for EncodingSink<'_, K, H> {
    fn is_held_up(&self, _index: usize) -> bool {
        false
    }

    fn hear(&mut self, index: usize, verdict: Result<Emissions<'_>, GuestFault>) {
        let record = RecordRef { chunk: Arc::clone(self.chunk), index: index as u32 };
        let kept = verdict.and_then(|emissions| {
            self.session.encoder.emitted(&mut self.parcel, &record, 1, None, &emissions)?;
            let input = Record::parse(record.flat(), CLUSTER).ok();
            Ok(K::of(&emissions, input.as_ref().and_then(Record::key)))
        });
        (self.hear)(kept);
    }
}
