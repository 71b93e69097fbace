//! How far a reader without a group is: kept as the offsets of a group that no client ever joins, each with a text
//! beside it.

use std::sync::Arc;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;
use tokio::runtime::Handle;

use crate::kafka::admin::metadata_probe::{PartitionOffsets, offsets_at_once};
use crate::kafka::admin::offsets::{StoredOffset, store};
use crate::kafka::admin::{AdminError, KafkaAdmin, LoggingContext, REQUEST_TIMEOUT};
use crate::kafka::partition_list;
use crate::model::position::TopicPartition;

/// The offsets of such a group. Clones share one client, which connects when it is first asked something.
#[derive(Clone)]
pub(crate) struct GroupBookmarks {
    group: Arc<str>,
    client: Arc<DetachedClient>,
}

/// A client whose end, which waits for its threads, holds no one up.
struct DetachedClient(Option<BaseConsumer<LoggingContext>>);

impl Drop for DetachedClient {
    fn drop(&mut self) {
        if let (Some(client), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn_blocking(move || drop(client));
        }
    }
}

impl KafkaAdmin {
    /// The offsets that are kept as those of `group`.
    pub(crate) fn bookmarks(&self, group: &str) -> Result<GroupBookmarks, AdminError> {
        let mut config = self.0.settings.base();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            // Its ends are those of what is written, whether it is committed yet or not.
            .set("isolation.level", "read_uncommitted");
        let client =
            BaseConsumer::from_config_and_context(&config, LoggingContext).map_err(AdminError::Configuration)?;
        Ok(GroupBookmarks { group: group.into(), client: Arc::new(DetachedClient(Some(client))) })
    }
}

impl GroupBookmarks {
    /// What is kept of each of `partitions`, in their order.
    pub(crate) async fn read(&self, partitions: Vec<TopicPartition>) -> Result<Vec<Option<(i64, String)>>, AdminError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        self.blocking(move |client, group| {
            let committed = partition_list::of(&partitions)
                .and_then(|list| client.committed_offsets(list, REQUEST_TIMEOUT))
                .map_err(|error| AdminError::of(error, format!("read the offsets of consumer group \"{group}\"")))?;
            let kept = |TopicPartition { topic, partition }: &TopicPartition| match partition_list::find(
                &committed, topic, *partition,
            )?
            .offset()
            {
                Offset::Offset(offset) => Some((offset, partition_list::metadata(&committed, topic, *partition))),
                _ => None,
            };
            Ok(partitions.iter().map(kept).collect())
        })
        .await
    }

    /// Keeps an offset and a text for each of these partitions.
    pub(crate) async fn write(&self, places: Vec<StoredOffset>) -> Result<(), AdminError> {
        if places.is_empty() {
            return Ok(());
        }
        self.blocking(move |client, group| store(client, group, places, "keep offsets in")).await
    }

    /// Where `partitions` end, with what open transactions wrote.
    pub(crate) async fn ends(&self, partitions: Vec<TopicPartition>) -> Result<PartitionOffsets, AdminError> {
        if partitions.is_empty() {
            return Ok(PartitionOffsets::new());
        }
        self.blocking(move |client, _| {
            offsets_at_once(client, &partitions, Offset::End, REQUEST_TIMEOUT)
                .map_err(|error| AdminError::of(error, "read the ends of topics"))
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&BaseConsumer<LoggingContext>, &str) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        let this = self.clone();
        let asked = tokio::task::spawn_blocking(move || match &this.client.0 {
            Some(client) => work(client, &this.group),
            // It is taken only when no one has it any more.
            None => Err(AdminError::Interrupted),
        });
        asked.await.unwrap_or(Err(AdminError::Interrupted))
    }
}
