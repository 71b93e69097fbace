//! What the control plane asks of a cluster: topics, offsets and groups.
//!
//! Every call is asynchronous to its caller: librdkafka's blocking calls run on blocking threads, each with a timeout.
//! The data path never comes here; a function that starts asks once how large a batch its topics take.

mod bookmarks;
mod client_events;
mod error;
mod groups;
mod offsets;
mod partition_bounds;
mod topics;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::config::FromClientConfigAndContext;

pub(crate) use bookmarks::GroupBookmarks;
pub(crate) use error::AdminError;
pub(crate) use offsets::StartOffset;
pub(crate) use partition_bounds::PartitionBounds;
pub(crate) use topics::NewTopic;

use client_events::ClientEvents;
use tokio::sync::watch;

use crate::kafka::client_log::LoggingContext;
use crate::kafka::settings::ClientSettings;

/// The longest that one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Creates a topic with that many partitions, the way of the embedded broker.
pub(crate) type CreateEmbedded = dyn Fn(&str, i32) -> Result<(), String> + Send + Sync;

/// How topics come to be.
#[derive(Clone)]
pub(crate) enum TopicCreation {
    /// The broker makes them on request.
    Broker,
    /// The embedded broker has no such request: this makes them. It cannot delete groups either.
    Embedded(Arc<CreateEmbedded>),
}

/// A client for a cluster's administration. Clones share one connection.
#[derive(Clone)]
pub(crate) struct KafkaAdmin(Arc<AdminState>);

struct AdminState {
    settings: ClientSettings,
    creation: TopicCreation,
    /// Declared before the client: its thread must end first.
    events: ClientEvents,
    client: Arc<AdminClient<LoggingContext>>,
}

impl KafkaAdmin {
    /// A client; it connects when it is first asked something.
    pub(crate) fn new(settings: ClientSettings, creation: TopicCreation) -> Result<Self, AdminError> {
        let client = AdminClient::from_config_and_context(&settings.base(), LoggingContext)
            .map_err(AdminError::Configuration)?;
        let client = Arc::new(client);
        let events = ClientEvents::listen(client.clone(), settings.clone()).map_err(AdminError::Thread)?;
        Ok(Self(Arc::new(AdminState { settings, creation, events, client })))
    }

    /// Why Kafka cannot be reached; it changes with each failed attempt.
    pub(crate) fn connection_cause(&self) -> watch::Receiver<Option<String>> {
        self.0.events.cause()
    }

    /// The partitions of every topic of the cluster, or why Kafka does not answer.
    ///
    /// It asks for all topics because asking for one by name would create it on clusters that create on demand.
    pub(crate) async fn topics(&self) -> Result<BTreeMap<String, i32>, AdminError> {
        self.blocking(|inner| topics::list(&inner.client)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AdminState) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        let inner = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(_) => Err(AdminError::Interrupted),
        }
    }

    fn is_embedded(&self) -> bool {
        matches!(self.0.creation, TopicCreation::Embedded(_))
    }
}

impl fmt::Debug for KafkaAdmin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Admin").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}
pub(crate) mod metadata_probe;
pub(crate) mod topic_ids;
