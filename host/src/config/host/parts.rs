//! The tables of the host's configuration, one reader each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::host::{
    ClusterConfig, CreatedTopics, InstanceBudget, KafkaConnection, LogConfig, LogFormat, UploadLimits, WatchdogConfig,
};
use crate::config::kafka_options::{self, OptionTable};
use crate::config::node::ConfigNode;
use crate::config::quantity::cut;
use crate::config::section::ConfigSection;
use crate::config::value::{self, ReadResult};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Reads `listen`. Without API tokens only this machine may reach the API, unless the user insists.
pub(crate) fn listen(node: &ConfigNode, may_be_any: bool) -> ReadResult<SocketAddr> {
    let text = value::text(node)?;
    let address: SocketAddr = text.trim().parse().map_err(|_| {
        format!("\"{}\" is not an address: write an IP address and a port, such as \"127.0.0.1:8080\"", cut(&text))
    })?;
    if address.ip().is_loopback() || may_be_any {
        return Ok(address);
    }
    Err(format!(
        "{address} can be reached from other machines, and anyone who reaches it may deploy code: set a token, such as \
         api.token = \"env:TOKEN\", or listen on 127.0.0.1; insecure = true (--insecure) lets everybody in"
    ))
}

/// Reads `data_dir`, or chooses one.
pub(crate) fn data_dir(node: &ConfigNode, variables: &BTreeMap<String, String>) -> ReadResult<PathBuf> {
    let text = value::non_empty_text(node)?;
    if text != "auto" {
        return Ok(PathBuf::from(text));
    }
    // The XDG specification has relative paths ignored.
    let absolute = |name: &str| variables.get(name).map(Path::new).filter(|path| path.is_absolute());
    Ok(match (absolute("XDG_DATA_HOME"), absolute("HOME")) {
        (Some(data_home), _) => data_home.join("millstream"),
        (None, Some(home)) => home.join(".local/share/millstream"),
        (None, None) => PathBuf::from("/var/lib/millstream"),
    })
}

pub(crate) fn read_kafka(kafka: &ConfigSection<'_>) -> Option<KafkaConnection> {
    let bootstrap_servers = kafka.get("bootstrap_servers", value::non_empty_text);
    let options = kafka_options::read(kafka, OptionTable::Host);
    Some(KafkaConnection { bootstrap_servers: bootstrap_servers?, options })
}

pub(crate) fn read_topics(topics: &ConfigSection<'_>) -> Option<CreatedTopics> {
    let create = topics.get("create", value::boolean);
    let partitions = topics.get("partitions", value::integer(1..=10_000));
    let replication_factor = topics.get("replication_factor", |node| match value::integer(-1..=100)(node)? {
        0 => Err("0 is out of range: choose -1 for the cluster's default, or 1 to 100".to_owned()),
        replicas => Ok(replicas),
    });
    let registry_prefix = topics.get("registry_prefix", |node| {
        let prefix = value::topic(node)?;
        if prefix.len() > 200 { Err("is longer than 200 characters: shorten it".to_owned()) } else { Ok(prefix) }
    });
    Some(CreatedTopics {
        create: create?,
        partitions: partitions?,
        replication_factor: replication_factor?,
        registry_prefix: registry_prefix?,
    })
}

pub(crate) fn read_limits(limits: &ConfigSection<'_>) -> Option<UploadLimits> {
    let upload = limits.get("upload", value::size(KIB..=GIB));
    let request = limits.get("request", value::size(KIB..=GIB));
    let compile_memory = limits.get("compile_memory", value::size(64 * MIB..=1024 * GIB));
    let compile_timeout =
        limits.get("compile_timeout", value::duration(Duration::from_secs(1)..=Duration::from_secs(3600)));
    Some(UploadLimits {
        upload: upload?,
        request: request?,
        compile_memory: compile_memory?,
        compile_timeout: compile_timeout?,
    })
}

pub(crate) fn read_instances(instances: &ConfigSection<'_>) -> Option<InstanceBudget> {
    let total = instances.get("total", value::integer(1..=20_000));
    Some(InstanceBudget { total: total? })
}

pub(crate) fn read_watchdog(watchdog: &ConfigSection<'_>) -> Option<WatchdogConfig> {
    let longest = Duration::from_secs(24 * 3600);
    let stalled_after = watchdog.get("stalled_after", value::duration(Duration::from_secs(1)..=longest));
    Some(WatchdogConfig { stalled_after: stalled_after? })
}

pub(crate) fn read_cluster(cluster: &ConfigSection<'_>) -> Option<ClusterConfig> {
    let name = cluster.get("name", |node| {
        let name = value::non_empty_text(node)?;
        // It is the authority of a URI.
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.len() <= 255 && name.bytes().all(is_allowed) {
            return Ok(name);
        }
        Err(format!("\"{}\" is not a cluster name: use a-z, A-Z, 0-9, \".\", \"_\" and \"-\"", cut(&name)))
    });
    Some(ClusterConfig { name: name? })
}

pub(crate) fn read_log(log: &ConfigSection<'_>) -> Option<LogConfig> {
    let level = log.get("level", log_level);
    let format = log.get("format", value::one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    Some(LogConfig { level: level?, format: format? })
}

fn log_level(node: &ConfigNode) -> ReadResult<String> {
    let level = value::text(node)?;
    // Without "=" the parser would take a misspelt level for the name of a target.
    if !level.contains(['=', ',']) {
        const LEVELS: [(&str, &str); 5] =
            [("error", "error"), ("warn", "warn"), ("info", "info"), ("debug", "debug"), ("trace", "trace")];
        return value::one_of(&LEVELS)(node).map(str::to_owned);
    }
    match tracing_subscriber::EnvFilter::try_new(&level) {
        Ok(_) => Ok(level),
        Err(error) => Err(format!("\"{}\" cannot be read: {error}", cut(&level))),
    }
}
