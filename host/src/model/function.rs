//! A function as its user declared it, checked: what the manifest says, with every default filled in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::ids::{ArtifactDigest, FunctionName, RevisionNumber};
use crate::model::schedule::{CronSchedule, tick_topic};

/// A valid manifest. `config::manifest` makes one from TOML or JSON.
///
/// The parts that only some host features read stay in their own structs, so that a stage is handed just its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) name: FunctionName,
    /// Which records make it run. Empty when only HTTP calls or a schedule do.
    pub(crate) topics: TopicSelection,
    /// Where a new consumer group starts.
    pub(crate) initial_offset: InitialOffset,
    /// Which records must be handled one after another.
    pub(crate) ordering: Ordering,
    /// How many lanes run at once, in each shard.
    pub(crate) concurrency: usize,
    /// How many group members this function has on each host.
    pub(crate) shards: usize,
    /// What is promised of delivery.
    pub(crate) processing_guarantee: ProcessingGuarantee,
    /// Where records go that are dead-lettered.
    pub(crate) dead_letter_topic: String,
    /// The environment of the guest: these variables and no others.
    pub(crate) env: BTreeMap<String, String>,
    /// The allow-list of outputs by the names that the guest uses.
    pub(crate) outputs: BTreeMap<String, FunctionOutput>,
    /// All of these must hold for a record to reach the guest.
    pub(crate) filters: Vec<EventFilter>,
    /// What one sandbox and one invocation may use.
    pub(crate) limits: FunctionLimits,
    /// What is kept of what guests write.
    #[serde(default)]
    pub(crate) logs: LogLimits,
    pub(crate) instances: InstancePolicy,
    /// What happens after a failed attempt.
    pub(crate) retry: RetryPolicy,
    /// How records are fetched, batched and committed.
    pub(crate) delivery: DeliveryPolicy,
    /// When it runs by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<CronSchedule>,
    /// Settings passed to librdkafka as they are, for this function's consumer.
    pub(crate) kafka: BTreeMap<String, String>,
}

impl Manifest {
    /// The topic of its ticks, where it runs by the clock: one more topic that it reads.
    pub(crate) fn ticks(&self) -> Option<String> {
        self.schedule.as_ref().map(|_| tick_topic(&self.name))
    }

    /// The topics that it reads by name, that of its ticks with them.
    pub(crate) fn named_inputs(&self) -> Vec<String> {
        let named = match &self.topics {
            TopicSelection::Named(topics) => topics.clone(),
            TopicSelection::Pattern(_) => Vec::new(),
        };
        named.into_iter().chain(self.ticks()).collect()
    }

    /// Whether an output does not say what its events were emitted for.
    pub(crate) fn emits_raw(&self) -> bool {
        self.outputs.values().any(|output| output.format == EventFormat::Raw)
    }
}

/// The topics of a Kafka trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TopicSelection {
    Named(Vec<String>),
    /// Every topic whose whole name matches this regular expression.
    Pattern(String),
}

/// Where a new consumer group starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InitialOffset {
    /// At the first record that is still there.
    Earliest,
    /// After the last record at the time of the deploy.
    Latest,
}

/// Which records must be handled one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// None: any free worker takes the next record.
    None,
    Partition,
    /// Those of one partition with the same key.
    Key,
}

/// What is promised of delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProcessingGuarantee {
    /// An offset is committed only after all that its record emitted is acknowledged.
    AtLeastOnce,
    /// Emissions, dead letters and offsets are committed in one Kafka transaction.
    ExactlyOnce,
}

/// A topic that the guest may write to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FunctionOutput {
    pub(crate) topic: String,
    pub(crate) format: EventFormat,
    /// librdkafka's `compression.codec`, when this topic is to have its own.
    pub(crate) compression: Option<Compression>,
}

/// How an event is written to Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventFormat {
    /// CloudEvents binary content mode: attributes in `ce_` headers, data as the value.
    Binary,
    /// CloudEvents structured content mode: one JSON object as the value.
    Structured,
    /// Key, value and the guest's own headers only.
    Raw,
}

/// A compression that librdkafka knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compression {
    None,
    Gzip,
    Snappy,
    /// LZ4.
    Lz4,
    Zstd,
}

/// A filter expression of CloudEvents Subscriptions 1.0: the dialects `exact`, `prefix`, `suffix`, `all`, `any`, `not`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum EventFilter {
    /// Each attribute named exists and has exactly this value.
    Exact(BTreeMap<String, String>),
    /// Each attribute named exists and starts so.
    Prefix(BTreeMap<String, String>),
    /// Each attribute named exists and ends so.
    Suffix(BTreeMap<String, String>),
    /// Every one of these holds.
    All(Vec<EventFilter>),
    /// At least one of these holds.
    Any(Vec<EventFilter>),
    Not(Box<EventFilter>),
}

/// What one sandbox and one invocation may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FunctionLimits {
    /// Linear memory of an instance, in bytes.
    pub(crate) memory: u64,
    /// Wall time of one record's invocation.
    pub(crate) timeout: Duration,
    /// Bytes emitted for one record.
    pub(crate) output: u64,
    /// Bytes logged by one invocation; what is beyond is dropped and counted.
    pub(crate) logs: u64,
    pub(crate) table_elements: u64,
}

/// What is kept of what guests write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogLimits {
    /// Less important lines are not kept.
    pub(crate) level: LogLevel,
    /// Lines a second on one host; what is beyond is dropped and counted.
    pub(crate) rate: u32,
}

impl Default for LogLimits {
    /// Of functions that were deployed before this could be chosen.
    fn default() -> Self {
        Self { level: LogLevel::Trace, rate: 1000 }
    }
}

/// How important a line is. The names are those of `wasi:logging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    Info,
    /// Something is odd; also stderr.
    Warn,
    Error,
    Critical,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InstancePolicy {
    /// How much one sandbox sees, where that is not left to the module's shape.
    pub(crate) isolation: Option<Isolation>,
    /// How long an idle instance is kept.
    pub(crate) keep_warm: Duration,
    /// How many instances are kept ready, idle or not.
    pub(crate) min: usize,
    /// Start delays of another platform.
    pub(crate) emulate: Option<StartEmulation>,
}

/// How much one sandbox sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Many records, while it is healthy.
    Shared,
    /// The records of one call.
    Batch,
    Record,
}

/// Start delays of another platform, drawn evenly from each range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartEmulation {
    /// Added to the first call of an instance: shortest and longest.
    pub(crate) cold: (Duration, Duration),
    /// Added to every later call: shortest and longest.
    pub(crate) hot: (Duration, Duration),
}

/// What happens after a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RetryPolicy {
    /// Attempts in all; 1 = no retry.
    pub(crate) max_attempts: u32,
    /// Wait before the second attempt; doubled for each after it.
    pub(crate) backoff: Duration,
    pub(crate) backoff_max: Duration,
}

/// How records are fetched, batched and committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveryPolicy {
    /// Most records in one call of the guest.
    pub(crate) batch_size: usize,
    /// How long a call may wait for more records.
    pub(crate) batch_window: Duration,
    /// Longest time between two commits while records flow.
    pub(crate) commit_interval: Duration,
    /// How long running invocations may finish after a stop or a rebalance.
    pub(crate) drain_timeout: Duration,
    /// Records of a partition that are queued, running or parked, or finished out of order.
    pub(crate) in_flight: usize,
    /// Bytes of finished outcomes of a shard that await acknowledgement or commit.
    pub(crate) pending: u64,
    /// How this function's members join their group.
    pub(crate) membership: GroupMembership,
}

/// How a member joins its consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GroupMembership {
    Dynamic,
    /// Keeps its place over a restart (`group.instance.id`).
    Static,
}

/// How the host calls a module. Found by looking at the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ModuleShape {
    /// A component that exports `millstream:function/batch`: the flat layout, many records a call.
    MillstreamBatch,
    /// A component that exports `millstream:function/handler`: typed, one event a call.
    MillstreamTyped,
    /// A component that exports `wasi:http/incoming-handler`: one request an event, CloudEvents HTTP binding.
    WasiHttp,
    /// A command, WASI preview 1 or a component that exports `wasi:cli/run`: a run of its own for each event, which is
    /// on stdin; each line on stdout is an event.
    WasiCommand,
}

impl ModuleShape {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MillstreamBatch => "millstream-batch",
            Self::MillstreamTyped => "millstream-typed",
            Self::WasiHttp => "wasi-http",
            Self::WasiCommand => "wasi-command",
        }
    }
}

/// An immutable deployment of a function: a manifest and the digest of its artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub(crate) number: RevisionNumber,
    pub(crate) digest: ArtifactDigest,
    /// The artifact's size in bytes.
    pub(crate) module_bytes: u64,
    /// How the host calls it.
    pub(crate) shape: ModuleShape,
    pub(crate) manifest: Manifest,
    /// When it was accepted: milliseconds since the Unix epoch.
    pub(crate) deployed_at_ms: u64,
}

impl Revision {
    /// How much one sandbox of it sees. HTTP frameworks make no promise to forget a request; functions and their SDKs are
    /// made for many records.
    pub(crate) fn isolation(&self) -> Isolation {
        match (self.manifest.instances.isolation, self.shape) {
            // A command ends with its event.
            (_, ModuleShape::WasiCommand) => Isolation::Record,
            (Some(isolation), _) => isolation,
            (None, ModuleShape::WasiHttp) => Isolation::Record,
            (None, ModuleShape::MillstreamBatch | ModuleShape::MillstreamTyped) => Isolation::Shared,
        }
    }

    /// `name@revision`, as it is stamped on what the revision emits.
    pub(crate) fn stamp(&self) -> String {
        format!("{}@{}", self.manifest.name, self.number)
    }
}

/// A revision that everything in the data plane shares.
pub(crate) type SharedRevision = Arc<Revision>;

/// Revisions for the tests of other rooms.
#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;

    /// A revision with the defaults of the manifest, one topic and one output.
    pub(crate) fn revision() -> SharedRevision {
        let name = FunctionName::new("test").expect("a valid name");
        let output = FunctionOutput { topic: "out".into(), format: EventFormat::Binary, compression: None };
        Arc::new(Revision {
            number: RevisionNumber(1),
            digest: ArtifactDigest::of(b""),
            module_bytes: 0,
            shape: ModuleShape::MillstreamBatch,
            deployed_at_ms: 0,
            manifest: Manifest {
                name,
                topics: TopicSelection::Named(vec!["in".into()]),
                initial_offset: InitialOffset::Earliest,
                ordering: Ordering::Partition,
                concurrency: 4,
                shards: 1,
                processing_guarantee: ProcessingGuarantee::AtLeastOnce,
                dead_letter_topic: "test.dead".into(),
                env: BTreeMap::new(),
                outputs: [("default".to_owned(), output)].into(),
                filters: Vec::new(),
                limits: FunctionLimits {
                    memory: 128 << 20,
                    timeout: Duration::from_secs(3),
                    output: 900 << 10,
                    logs: 64 << 10,
                    table_elements: 100_000,
                },
                logs: LogLimits::default(),
                instances: InstancePolicy {
                    isolation: None,
                    keep_warm: Duration::from_secs(60),
                    min: 0,
                    emulate: None,
                },
                retry: RetryPolicy {
                    max_attempts: 5,
                    backoff: Duration::from_millis(100),
                    backoff_max: Duration::from_secs(10),
                },
                delivery: DeliveryPolicy {
                    batch_size: 256,
                    batch_window: Duration::ZERO,
                    commit_interval: Duration::from_millis(100),
                    drain_timeout: Duration::from_secs(10),
                    in_flight: 1000,
                    pending: 32 << 20,
                    membership: GroupMembership::Dynamic,
                },
                schedule: None,
                kafka: BTreeMap::new(),
            },
        })
    }
}
