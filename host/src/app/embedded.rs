//! A host on a broker inside this process: for `millstream demo` and `millstream dev`.
//!
//! Everything is in memory, or in a temporary folder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::app::host::{ClusterBackend, Host};
use crate::config::host::HostConfig;
use crate::error_code::ErrorCode;
use crate::kafka::admin::{KafkaAdmin, TopicCreation};
use crate::kafka::embedded::EmbeddedBroker;
use crate::kafka::read::topic_watch::TopicWatch;
use crate::kafka::settings::ClientSettings;
use crate::registry::folder_log::FolderLog;
use crate::registry::publication;
use crate::telemetry::otlp::OtlpHandle;

/// The address of the API, unless it is in use.
const USUAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

pub(crate) struct EmbeddedHost {
    pub(crate) broker: EmbeddedBroker,
    pub(crate) kafka: ClientSettings,
    pub(crate) host: Host,
    // Last: its files are in use until the host has ended.
    _folder: TempDir,
}

impl EmbeddedHost {
    /// Starts a broker, and a host on it that calls the cluster `name`. Topics that it creates have `partitions`.
    pub(crate) fn start(name: &str, partitions: i32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no folder for temporary files")?;
        let broker = EmbeddedBroker::start()?;
        // The embedded broker answers a fetch only when its time is up: a short one, so that events appear at once.
        let options = [("fetch.wait.max.ms".to_owned(), "20".to_owned())].into();
        let kafka = ClientSettings { bootstrap_servers: broker.bootstrap_servers(), options, is_embedded: true };
        let config = configuration(name, partitions, folder.path(), &kafka.bootstrap_servers)?;
        let host = Host::start(&config, surroundings(name, &broker, kafka.clone(), folder.path())?)?;
        Ok(Self { broker, kafka, host, _folder: folder })
    }

    pub(crate) fn bootstrap_servers(&self) -> String {
        self.broker.bootstrap_servers()
    }

    /// Sees what appears in topics that are named later.
    pub(crate) fn watch(&self) -> anyhow::Result<TopicWatch> {
        Ok(TopicWatch::open(&self.kafka, &[])?)
    }

    /// Serves the API until `stop`: at `wanted`, else at the usual address, or on any port when that is taken.
    pub(crate) async fn listen(
        &self,
        wanted: Option<SocketAddr>,
        stop: CancellationToken,
    ) -> anyhow::Result<ApiListener> {
        let listener = match wanted {
            Some(address) => TcpListener::bind(address)
                .await
                .with_context(|| format!("can't listen on {address}"))
                .context(ErrorCode::CannotListen)?,
            None => match TcpListener::bind(USUAL).await {
                Ok(listener) => listener,
                Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port for the API")?,
            },
        };
        let address = listener.local_addr()?;
        let task = tokio::spawn(api::serve(listener, self.host.api(), None, stop.cancelled_owned()));
        Ok(ApiListener { address, task })
    }

    pub(crate) async fn stop(self) {
        self.host.stop().await;
    }
}

/// An API that is served.
pub(crate) struct ApiListener {
    pub(crate) address: SocketAddr,
    task: JoinHandle<std::io::Result<()>>,
}

impl ApiListener {
    pub(crate) async fn ended(self) {
        if let Ok(Err(error)) = self.task.await {
            tracing::error!(%error, "the API ended");
        }
    }
}

fn configuration(name: &str, partitions: i32, folder: &Path, bootstrap_servers: &str) -> anyhow::Result<HostConfig> {
    let variables = [
        ("MILLSTREAM_DATA_DIR", folder.to_string_lossy().into_owned()),
        ("MILLSTREAM_KAFKA__BOOTSTRAP_SERVERS", bootstrap_servers.to_owned()),
        ("MILLSTREAM_CLUSTER__NAME", name.to_owned()),
        ("MILLSTREAM_TOPICS__PARTITIONS", partitions.to_string()),
        ("MILLSTREAM_INSTANCES__TOTAL", "50".to_owned()),
    ];
    Ok(HostConfig::from_parts("", variables.map(|(name, value)| (name.to_owned(), value)))?)
}

fn surroundings(
    name: &str,
    broker: &EmbeddedBroker,
    kafka: ClientSettings,
    folder: &Path,
) -> anyhow::Result<ClusterBackend> {
    let creator = broker.clone();
    let create =
        move |topic: &str, partitions: i32| creator.create_topic(topic, partitions).map_err(|error| error.to_string());
    let admin = KafkaAdmin::new(kafka.clone(), TopicCreation::Embedded(Arc::new(create)))?;
    let (publication, view) = publication();
    let log = Arc::new(FolderLog::open(&folder.join("registry"), publication)?);
    Ok(ClusterBackend { kafka, admin, log, view, host_id: name.into(), pulse: None, otlp: OtlpHandle::default() })
}
