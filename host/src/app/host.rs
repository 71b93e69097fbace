//! A host: the parts of `millstream serve` and `millstream demo`, put together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api, TopicWriter};
use crate::config::host::{AccessTokens, CreatedTopics, HostConfig};
use crate::error_code::ErrorCode;
use crate::inspect::replay::ReplayService;
use crate::inspect::shadow::ShadowReports;
use crate::invoke::admission::InstanceAdmission;
use crate::kafka::admin::metadata_probe::MetadataProbe;
use crate::kafka::admin::{KafkaAdmin, TopicCreation};
use crate::kafka::group::poller::PollerThreads;
use crate::kafka::produce::producer::ProducerSet;
use crate::kafka::produce::publisher::HostPublisher;
use crate::kafka::read::history::TopicHistory;
use crate::kafka::settings::ClientSettings;
use crate::model::function::{ModuleShape, SharedRevision};
use crate::model::ids::ArtifactDigest;
use crate::model::reserved_topics::ReservedTopics;
use crate::model::status::FunctionObserver;
use crate::pipeline::background::BackgroundRuntime;
use crate::pipeline::build::KafkaContext;
use crate::pipeline::calls::PipelineInvoker;
use crate::pipeline::supervisor::{self, ArtifactSource, FunctionSupervisor, HostServices};
use crate::pipeline::watchdog::ShardWatchdog;
use crate::redrive::DeadLetters;
use crate::registry::cluster::{KafkaCluster, TopicPolicy};
use crate::registry::inspect::{ModuleInspector, ModuleRefused};
use crate::registry::log::RegistryLog;
use crate::registry::{self, CatalogueView, kafka_log, publication};
use crate::schedule::Scheduler;
use crate::telemetry::exposition::HostMetrics;
use crate::telemetry::otlp::{ExporterTasks, MetricsSource, OtlpHandle};
use crate::telemetry::usage::UsageRecorder;
use crate::wasm::compile::{CompileLimits, CompilerCommand};
use crate::wasm::{CompileLocation, EngineOptions, WasmEngine};

/// Threads that poll consumers. One serves some hundred consumers; a second keeps a busy one from delaying them all.
const POLLERS: usize = 2;

/// How long commits and leaving groups may take after running calls had their time.
const LEAVE_WITHIN: Duration = Duration::from_secs(8);

/// What differs between a real cluster and the embedded broker.
pub(crate) struct ClusterBackend {
    pub(crate) kafka: ClientSettings,
    pub(crate) admin: KafkaAdmin,
    pub(crate) log: Arc<dyn RegistryLog>,
    pub(crate) view: CatalogueView,
    pub(crate) host_id: Arc<str>,
    /// A topic that is always there: who asks for it sees whether Kafka answers.
    pub(crate) pulse: Option<String>,
    /// What is sent to a collector.
    pub(crate) otlp: OtlpHandle,
}

impl ClusterBackend {
    /// A Kafka cluster, with the registry in its topics.
    pub(crate) fn of_cluster(config: &HostConfig, host_id: Arc<str>, otlp: OtlpHandle) -> anyhow::Result<Self> {
        let kafka = ClientSettings {
            bootstrap_servers: config.kafka.bootstrap_servers.clone(),
            options: config.kafka.options.clone(),
            is_embedded: false,
        };
        // What is wrong here is wrong with the options: nothing is sent yet.
        let admin = KafkaAdmin::new(kafka.clone(), TopicCreation::Broker).context(ErrorCode::InvalidHostConfig)?;
        let (publication, view) = publication();
        let options = kafka_log::KafkaLogOptions {
            settings: kafka.clone(),
            prefix: config.topics.registry_prefix.clone(),
            replication: config.topics.replication_factor,
        };
        let pulse = Some(options.functions_topic());
        let log = Arc::new(kafka_log::KafkaLog::start(options, admin.clone(), publication));
        Ok(Self { kafka, admin, log, view, host_id, pulse, otlp })
    }
}

pub(crate) struct Host {
    pub(crate) registry: registry::RegistryHandle,
    observe: supervisor::FunctionDirectory,
    metrics: HostMetrics,
    usage: UsageRecorder,
    topics: TopicWriter,
    history: TopicHistory,
    publisher: HostPublisher,
    letters: DeadLetters,
    replays: ReplayService,
    shadows: ShadowReports,
    limits: api::Limits,
    data_dir: PathBuf,
    tokens: AccessTokens,
    supervisor: JoinHandle<()>,
    scheduler: JoinHandle<()>,
    sending: ExporterTasks,
    stop: CancellationToken,
}

impl Host {
    /// Starts everything but the API.
    pub(crate) fn start(config: &HostConfig, surroundings: ClusterBackend) -> anyhow::Result<Self> {
        let ClusterBackend { kafka, admin, log, view, host_id, pulse, otlp } = surroundings;
        let total = config.instances.total;
        let engine = WasmEngine::new(EngineOptions {
            max_instances: u32::try_from(total).context("instances.total is too large")?,
            compile: CompileLocation::Child {
                command: CompilerCommand::this_program(),
                limits: CompileLimits {
                    wall: config.limits.compile_timeout,
                    cpu: config.limits.compile_timeout,
                    memory: config.limits.compile_memory,
                },
                cache: config.data_dir.join("compiled"),
            },
            perf_map: false,
        })
        .map_err(|error| {
            let code = error.code();
            anyhow::Error::new(error).context(code)
        })?;
        let policy = TopicPolicy {
            create: config.topics.create,
            partitions: config.topics.partitions,
            replication: config.topics.replication_factor,
        };
        let reserved = ReservedTopics::new(&config.topics.registry_prefix);
        let registry = registry::RegistryHandle::new(registry::RegistryParts {
            log,
            view,
            cluster: Arc::new(KafkaCluster::new(admin.clone(), policy, reserved.clone())),
            inspect: Arc::new(EngineInspect(engine.clone())),
            cache_folder: config.data_dir.join("artifacts"),
        })
        .context("the folder of artifacts can't be used")
        .context(ErrorCode::DataDirUnusable)?;
        let metrics = HostMetrics::default().with_telemetry(otlp.counts());
        let usage = UsageRecorder::open(&config.data_dir, metrics.clone())
            .context("the file of usage can't be used")
            .context(ErrorCode::DataDirUnusable)?;
        let survey = MetadataProbe::new(&kafka).context("the settings of [kafka] are refused")?;
        let observe = supervisor::FunctionDirectory::new(survey.clone());
        let sending = otlp.start(&host_id, figures(&metrics, &observe));
        let publisher = HostPublisher::new(kafka.clone());
        let topics = TopicWriter::new(admin.clone(), publisher.clone(), reserved);
        let history = TopicHistory::new(kafka.clone());
        let ground = HostServices {
            environment: KafkaContext {
                producers: ProducerSet::new(kafka.clone()),
                survey: survey.clone(),
                kafka,
                admin,
                pollers: Arc::new(PollerThreads::start(POLLERS).context("can't start the poller threads")?),
                cluster: config.cluster.name.as_str().into(),
                host_id,
                tracer: otlp.tracer(),
            },
            engine,
            admission: Arc::new(InstanceAdmission::new(total)),
            artifacts: Arc::new(RegistryArtifacts(registry.clone())),
            aside: BackgroundRuntime::start().context("can't start the thread for what may wait")?,
            metrics: metrics.clone(),
        };
        let CreatedTopics { registry_prefix, replication_factor, .. } = &config.topics;
        let letters = DeadLetters::new(ground.clone(), observe.clone(), registry_prefix, *replication_factor);
        let replays = ReplayService::new(ground.clone(), publisher.clone());
        let scheduler =
            Scheduler::new(ground.environment.clone(), registry.table(), registry_prefix, *replication_factor);
        let shadows = ShadowReports::new(ground.environment.admin.clone(), observe.clone());
        let stop = CancellationToken::new();
        let supervisor = FunctionSupervisor::new(ground, registry.table(), observe.clone());
        let supervisor = tokio::spawn(supervisor.run(stop.clone()));
        tokio::spawn(usage.clone().run(stop.clone()));
        let watchdog = ShardWatchdog::new(survey, observe.clone(), config.watchdog.stalled_after, pulse);
        tokio::spawn(watchdog.run(stop.clone()));
        let scheduler = tokio::spawn(scheduler.run(stop.clone()));
        let limits = api::Limits { upload: config.limits.upload, request: config.limits.request };
        let (data_dir, tokens) = (config.data_dir.clone(), config.api.tokens.clone());
        Ok(Self {
            registry,
            observe,
            metrics,
            usage,
            topics,
            history,
            publisher,
            letters,
            replays,
            shadows,
            limits,
            data_dir,
            tokens,
            supervisor,
            scheduler,
            sending,
            stop,
        })
    }

    /// What the API is made of.
    pub(crate) fn api(&self) -> Api {
        Api::new(api::Parts {
            registry: self.registry.clone(),
            observe: Arc::new(self.observe.clone()),
            direct: Arc::new(PipelineInvoker::new(self.observe.clone(), self.publisher.clone())),
            topics: self.topics.clone(),
            letters: self.letters.clone(),
            replays: self.replays.clone(),
            shadows: self.shadows.clone(),
            history: self.history.clone(),
            metrics: self.metrics.clone(),
            usage: self.usage.clone(),
            limits: self.limits,
            uploads_folder: self.data_dir.clone(),
            tokens: self.tokens.clone(),
        })
    }

    pub(crate) fn directory(&self) -> supervisor::FunctionDirectory {
        self.observe.clone()
    }

    /// Asks what functions are doing.
    pub(crate) fn observe(&self) -> &impl FunctionObserver {
        &self.observe
    }

    /// How long running calls may take to end when this host stops.
    pub(crate) fn longest_drain(&self) -> Duration {
        self.observe.longest_drain()
    }

    /// Drains, commits, leaves every group. What waits for Kafka in vain is left behind after a while: its records run
    /// again.
    pub(crate) async fn stop(self) {
        let longest = self.longest_drain() + LEAVE_WITHIN;
        self.stop.cancel();
        let ended = async {
            for (what, task) in [("supervisor", self.supervisor), ("scheduler", self.scheduler)] {
                if let Err(error) = task.await {
                    tracing::error!(%error, "the {what} ended early");
                }
            }
        };
        if tokio::time::timeout(longest, ended).await.is_err() {
            tracing::warn!("kafka did not answer in time: groups are left by their session timeout");
        }
        self.usage.finish();
        self.sending.finish().await;
    }
}

/// The figures as `/metrics` shows them.
fn figures(metrics: &HostMetrics, observe: &supervisor::FunctionDirectory) -> MetricsSource {
    let (metrics, observe) = (metrics.clone(), observe.clone());
    Arc::new(move || -> BoxFuture<'static, String> {
        let (metrics, observe) = (metrics.clone(), observe.clone());
        Box::pin(async move { metrics.render(observe.statuses().await) })
    })
}

/// Checks uploads by loading them.
struct EngineInspect(WasmEngine);

impl ModuleInspector for EngineInspect {
    fn check(&self, digest: ArtifactDigest, module: Bytes) -> BoxFuture<'_, Result<ModuleShape, ModuleRefused>> {
        Box::pin(async move {
            let program = self.0.load(Arc::from(&*module), digest).await;
            program
                .map(|program| program.shape())
                .map_err(|error| ModuleRefused { code: error.code(), reason: error.to_string() })
        })
    }
}

/// Takes modules from the registry.
struct RegistryArtifacts(registry::RegistryHandle);

impl ArtifactSource for RegistryArtifacts {
    fn module(&self, revision: SharedRevision) -> BoxFuture<'_, Result<Arc<[u8]>, String>> {
        Box::pin(async move {
            let module = self.0.artifact(&revision).await;
            module.map(|module| Arc::from(&*module)).map_err(|error| error.to_string())
        })
    }
}
