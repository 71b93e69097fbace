//! The log on Kafka: two compacted topics of one partition that every host of the cluster reads.
//!
//! `<prefix>functions` holds a record for each function, `<prefix>artifacts` the chunks of each artifact under the keys
//! `<digest>/<index>`. A change is one transaction of the transactional id `<prefix>registry`: its chunks are
//! acknowledged before the record that says where they start, and readers see all of it or nothing. Beginning a session
//! fences any other host that had begun one; the fenced one notices at its commit and starts over.

mod artifacts;
mod follow;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::task::AbortHandle;

use crate::kafka::admin::{AdminError, KafkaAdmin, NewTopic};
use crate::kafka::settings::ClientSettings;
use crate::model::ids::ArtifactDigest;
use crate::registry::catalogue::ArtifactPlace;
use crate::registry::catalogue_view::{CatalogueWriter, RegistryReadiness};
use crate::registry::log::{LogError, LogSession, RegistryLog};

/// What the log needs to know.
#[derive(Debug, Clone)]
pub(crate) struct KafkaLogOptions {
    pub(crate) settings: ClientSettings,
    /// What the names of the topics and the transactional id start with.
    pub(crate) prefix: String,
    /// The replicas of the topics; -1 is the cluster's default.
    pub(crate) replication: i32,
}

impl KafkaLogOptions {
    /// The topic of the function records.
    pub(crate) fn functions_topic(&self) -> String {
        format!("{}functions", self.prefix)
    }
}

/// A log on Kafka. It is read for as long as this lives.
pub(crate) struct KafkaLog {
    shared: Arc<KafkaLogState>,
    follower: AbortHandle,
}

struct KafkaLogState {
    settings: ClientSettings,
    admin: KafkaAdmin,
    publication: CatalogueWriter,
    functions: String,
    artifacts: String,
    transactional_id: String,
    replication: i32,
}

impl KafkaLog {
    /// Starts reading, which continues trying for as long as Kafka is away. Must be called within a tokio runtime.
    pub(crate) fn start(options: KafkaLogOptions, admin: KafkaAdmin, publication: CatalogueWriter) -> Self {
        let functions = options.functions_topic();
        let KafkaLogOptions { settings, prefix, replication } = options;
        publication.start_waiting(format!("kafka at {} has not answered yet", settings.bootstrap_servers));
        let shared = Arc::new(KafkaLogState {
            settings,
            admin,
            publication,
            functions,
            artifacts: format!("{prefix}artifacts"),
            transactional_id: format!("{prefix}registry"),
            replication,
        });
        let follower = tokio::spawn(follow::follow(Arc::clone(&shared))).abort_handle();
        Self { shared, follower }
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl KafkaLogState {
    fn unreachable(&self, cause: &str) -> String {
        format!("kafka at {} cannot be reached: {cause}", self.settings.bootstrap_servers)
    }

    /// Makes both topics unless they are there.
    async fn make_topics(&self) -> Result<(), AdminError> {
        for name in [&self.functions, &self.artifacts] {
            // Old states of a key may go, the newest never does: there is no limit of time or size.
            let config = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
            let topic = NewTopic { name: name.clone(), partitions: 1, replication: self.replication, config };
            if self.admin.create_topic(topic).await? {
                tracing::info!(topic = %name, "created a topic of the registry");
            }
        }
        Ok(())
    }
}

impl RegistryLog for KafkaLog {
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn LogSession>, LogError>> {
        Box::pin(async {
            if let RegistryReadiness::Waiting(what) = self.shared.publication.readiness() {
                return Err(LogError::NotReady(what));
            }
            let session = session::KafkaSession::begin(Arc::clone(&self.shared)).await?;
            Ok(Box::new(session) as Box<dyn LogSession>)
        })
    }

    fn load(&self, digest: ArtifactDigest, place: ArtifactPlace) -> BoxFuture<'_, Result<Bytes, LogError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(blocking(move || artifacts::load(&shared, digest, place)))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(LogError::Interrupted))
}
