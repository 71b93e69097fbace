//! The host's configuration: `default.toml`, below a file, below `MILLSTREAM_…` environment variables.

mod access;
mod environment;
mod in_force;
mod otlp;
mod parts;
mod secret;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::defaults;
use crate::config::node;
use crate::config::problem::{ConfigProblem, write_all};
use crate::config::section::{ConfigLayer, ConfigSection, EffectiveSetting, ReadReport, ValueOrigin};

pub(crate) use access::{AccessToken, AccessTokens, ApiAccess, TlsFiles, TokenScope};
pub(crate) use otlp::OtlpConfig;

/// What `millstream serve` runs by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostConfig {
    pub(crate) listen: SocketAddr,
    /// Whether `listen` may be any address although there are no tokens.
    pub(crate) insecure: bool,
    /// Who may call the API, and how it is served.
    pub(crate) api: ApiAccess,
    /// The folder for compiled modules and the host's identity.
    pub(crate) data_dir: PathBuf,
    pub(crate) kafka: KafkaConnection,
    /// The topics that the host makes.
    pub(crate) topics: CreatedTopics,
    /// What an upload may cost.
    pub(crate) limits: UploadLimits,
    /// Sandboxes of all functions together.
    pub(crate) instances: InstanceBudget,
    /// Looks after partitions that make no progress.
    pub(crate) watchdog: WatchdogConfig,
    /// The Kafka cluster, as events name it.
    pub(crate) cluster: ClusterConfig,
    /// What the host writes to stderr.
    pub(crate) log: LogConfig,
    /// What is sent to an OpenTelemetry collector.
    pub(crate) otlp: OtlpConfig,
    /// Each value with its origin, section by section.
    settings: Vec<EffectiveSetting>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KafkaConnection {
    /// The brokers to ask first, separated by commas.
    pub(crate) bootstrap_servers: String,
    /// Settings passed to librdkafka as they are. They may hold secrets.
    pub(crate) options: BTreeMap<String, String>,
}

impl fmt::Debug for KafkaConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.options.keys().collect();
        formatter
            .debug_struct("KafkaConnection")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("options", &names)
            .finish()
    }
}

/// The topics that the host makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CreatedTopics {
    /// Whether missing input, output and dead letter topics are created.
    pub(crate) create: bool,
    /// The partitions of every created topic but the registry's.
    pub(crate) partitions: i32,
    /// The replicas of every created topic; -1 is the cluster's default.
    pub(crate) replication_factor: i32,
    /// What the names of the registry's topics start with.
    pub(crate) registry_prefix: String,
}

/// What an upload may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadLimits {
    /// The largest module, in bytes.
    pub(crate) upload: u64,
    /// The largest body of any other request, in bytes.
    pub(crate) request: u64,
    /// The memory for compiling one module, in bytes.
    pub(crate) compile_memory: u64,
    /// The time for compiling one module.
    pub(crate) compile_timeout: Duration,
}

/// Sandboxes of all functions together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceBudget {
    /// How many may exist at once.
    pub(crate) total: usize,
}

/// Looks after partitions that make no progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchdogConfig {
    /// How long a partition with lag may stand still.
    pub(crate) stalled_after: Duration,
}

/// The Kafka cluster, as events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterConfig {
    /// Part of `source` of records that are not CloudEvents.
    pub(crate) name: String,
}

/// What the host writes to stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// A level or filter directives.
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}; check the path that --config names")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Invalid(InvalidHostConfig),
}

/// Everything that is wrong with a host's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidHostConfig {
    /// The problems, at least one.
    pub(crate) problems: Vec<ConfigProblem>,
}

impl fmt::Display for InvalidHostConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_all(formatter, "the host's configuration", &self.problems)
    }
}

impl std::error::Error for InvalidHostConfig {}

impl HostConfig {
    /// Reads `file`, if there is one, and this process's environment, in which `is_insecure` sets `MILLSTREAM_INSECURE`.
    pub(crate) fn load(file: Option<&Path>, is_insecure: bool) -> Result<Self, HostConfigError> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| HostConfigError::Unreadable { path: path.to_owned(), source })?,
        };
        // A variable that is not UTF-8 is not ours: our names and values are texts.
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let insecure = is_insecure.then(|| ("MILLSTREAM_INSECURE".to_owned(), "true".to_owned()));
        Self::from_parts(&text, variables.chain(insecure)).map_err(HostConfigError::Invalid)
    }

    /// Reads the text of a file and environment variables.
    pub(crate) fn from_parts(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, InvalidHostConfig> {
        let variables: BTreeMap<String, String> = variables.into_iter().collect();
        let file = node::from_toml(text)
            .map_err(|error| InvalidHostConfig { problems: vec![ConfigProblem::new("", error)] })?;
        let environment = environment::read(&variables);
        let layers = vec![
            ConfigLayer { origin: ValueOrigin::Environment, table: &environment },
            ConfigLayer { origin: ValueOrigin::File, table: &file },
            ConfigLayer { origin: ValueOrigin::Default, table: defaults::host() },
        ];
        let report = ReadReport::default();
        let config = ConfigSection::root(&report, layers, defaults::host(), |root| read_root(root, &variables));
        let (problems, mut settings) = report.into_parts();
        // Keys at the top come before the first table, whatever was read first.
        settings.sort_by_key(|setting| !setting.section.is_empty());
        match config {
            Some(config) if problems.is_empty() => Ok(Self { settings, ..config }),
            _ => Err(InvalidHostConfig { problems }),
        }
    }
}

fn read_root(root: &ConfigSection<'_>, variables: &BTreeMap<String, String>) -> Option<HostConfig> {
    let insecure = root.get("insecure", crate::config::value::boolean);
    let api = root.within("api", |api| access::read(api, variables));
    // What is wrong with the tokens is said already.
    let is_guarded = api.as_ref().is_none_or(|api| !api.tokens.is_empty());
    let listen = root.get("listen", |node| parts::listen(node, is_guarded || insecure == Some(true)));
    let data_dir = root.get("data_dir", |node| parts::data_dir(node, variables));
    let kafka = root.within("kafka", parts::read_kafka);
    let topics = root.within("topics", parts::read_topics);
    let limits = root.within("limits", parts::read_limits);
    let instances = root.within("instances", parts::read_instances);
    let watchdog = root.within("watchdog", parts::read_watchdog);
    let cluster = root.within("cluster", parts::read_cluster);
    let log = root.within("log", parts::read_log);
    let otlp = root.within("otlp", |table| otlp::read(table, variables));
    Some(HostConfig {
        listen: listen?,
        insecure: insecure?,
        api: api?,
        data_dir: data_dir?,
        kafka: kafka?,
        topics: topics?,
        limits: limits?,
        instances: instances?,
        watchdog: watchdog?,
        cluster: cluster?,
        log: log?,
        otlp: otlp?,
        settings: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
