//! Offsets of a group that no one has joined yet.
//!
//! A function must start where its user said, not where the first record happens to be when its first host has joined.
//! So the offsets are resolved, written and read back before a deploy answers.

use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::admin::topic_ids::{self, TopicLookup, TopicLookups};
use crate::kafka::admin::{AdminError, AdminState, KafkaAdmin, LoggingContext, REQUEST_TIMEOUT, topics};
use crate::kafka::partition_list;
use crate::model::function::InitialOffset;
use crate::model::position::TopicPartition;
use crate::model::topic_id::TopicId;

/// Where a group starts in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartOffset {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The first offset that the group will read.
    pub(crate) offset: i64,
    /// Which topic of that name it is, where Kafka said.
    pub(crate) topic_id: Option<TopicId>,
}

impl KafkaAdmin {
    /// Forgets what `group` once committed and makes it start in each partition of `topics` at `initial`.
    ///
    /// The group must be empty; `patience` is how long its last members may take to leave. `metadata` is stored beside each.
    pub(crate) async fn store_start_offsets(
        &self,
        group: &str,
        topics: Vec<String>,
        initial: InitialOffset,
        patience: Duration,
        metadata: fn(&StartOffset) -> String,
    ) -> Result<Vec<StartOffset>, AdminError> {
        self.delete_group(group, patience).await?;
        let is_embedded = self.is_embedded();
        let group = group.to_owned();
        self.blocking(move |inner| {
            let starts = resolve(inner, &topics, initial)?;
            let place = |start: &StartOffset| {
                (TopicPartition::new(start.topic.as_str(), start.partition), start.offset, metadata(start))
            };
            match write(inner, &group, starts.iter().map(place).collect(), "store start offsets for") {
                // Its groups live for ever, and let no stranger commit: such a function continues where it was.
                Err(AdminError::GroupHasMembers { .. }) if is_embedded => Ok(starts),
                result => result.map(|()| starts),
            }
        })
        .await
    }

    /// What `group` has committed in the given partitions; nothing where it has committed nothing.
    pub(crate) async fn committed(
        &self,
        group: &str,
        partitions: Vec<(String, i32)>,
    ) -> Result<Vec<Option<i64>>, AdminError> {
        let group = group.to_owned();
        self.blocking(move |inner| read(&stranger(inner, &group)?, &group, &partitions)).await
    }
}

fn resolve(inner: &AdminState, names: &[String], initial: InitialOffset) -> Result<Vec<StartOffset>, AdminError> {
    let existing = topics::list(&inner.client)?;
    let missing: Vec<String> = names.iter().filter(|name| !existing.contains_key(*name)).cloned().collect();
    if !missing.is_empty() {
        return Err(AdminError::MissingTopics(missing));
    }
    let ids = match inner.settings.is_embedded {
        true => TopicLookups::new(),
        false => topic_ids::describe(inner.client.inner().native_client(), names, REQUEST_TIMEOUT).unwrap_or_default(),
    };
    let mut starts = Vec::new();
    for topic in names {
        let topic_id = match ids.get(topic) {
            Some(TopicLookup::Topic(id)) => Some(*id),
            _ => None,
        };
        for partition in 0..existing[topic] {
            let (low, high) = inner
                .client
                .inner()
                .fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
                .map_err(|error| AdminError::of(error, format!("read the offsets of {topic}/{partition}")))?;
            let offset = match initial {
                InitialOffset::Earliest => low,
                InitialOffset::Latest => high,
            };
            starts.push(StartOffset { topic: topic.clone(), partition, offset, topic_id });
        }
    }
    Ok(starts)
}

/// An offset of a partition, with the metadata that is stored beside it.
pub(crate) type StoredOffset = (TopicPartition, i64, String);

/// Commits as a stranger to the group, which a broker allows while the group has no members, and reads it back. `what` says
/// in errors what was to be done to the group.
pub(crate) fn write(inner: &AdminState, group: &str, places: Vec<StoredOffset>, what: &str) -> Result<(), AdminError> {
    if places.is_empty() {
        return Ok(());
    }
    store(&stranger(inner, group)?, group, places, what)
}

/// The same by one of its strangers.
pub(crate) fn store(
    consumer: &BaseConsumer<LoggingContext>,
    group: &str,
    places: Vec<StoredOffset>,
    what: &str,
) -> Result<(), AdminError> {
    let action = || format!("{what} consumer group \"{group}\"");
    let offsets = places.iter().map(|(partition, offset, metadata)| (partition, *offset, metadata.as_str()));
    let list = partition_list::with_metadata(offsets).map_err(|error| AdminError::of(error, action()))?;
    consumer.commit(&list, CommitMode::Sync).map_err(|error| match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::StaleMemberEpoch
            | RDKafkaErrorCode::RebalanceInProgress,
        ) => AdminError::GroupHasMembers { group: group.to_owned() },
        _ => AdminError::of(error, action()),
    })?;

    let partitions: Vec<_> = places.iter().map(|(at, ..)| (at.topic.to_string(), at.partition)).collect();
    let found = read(consumer, group, &partitions)?;
    for ((partition, written, _), found) in places.into_iter().zip(found) {
        if found != Some(written) {
            return Err(AdminError::OffsetsNotKept {
                group: group.to_owned(),
                topic: partition.topic.to_string(),
                partition: partition.partition,
                written,
                found,
            });
        }
    }
    Ok(())
}

fn read(
    consumer: &BaseConsumer<LoggingContext>,
    group: &str,
    partitions: &[(String, i32)],
) -> Result<Vec<Option<i64>>, AdminError> {
    let action = || format!("read the offsets of consumer group \"{group}\"");
    let mut list = TopicPartitionList::new();
    let listed = partitions
        .iter()
        .try_for_each(|(topic, partition)| partition_list::push(&mut list, topic, *partition, Offset::Invalid));
    let committed = listed
        .and_then(|()| consumer.committed_offsets(list, REQUEST_TIMEOUT))
        .map_err(|error| AdminError::of(error, action()))?;
    let offset_of =
        |(topic, partition): &(String, i32)| match partition_list::find(&committed, topic, *partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
    Ok(partitions.iter().map(offset_of).collect())
}

/// A consumer that knows the group's name but never joins it.
pub(crate) fn stranger(inner: &AdminState, group: &str) -> Result<BaseConsumer<LoggingContext>, AdminError> {
    let mut config = inner.settings.base();
    config.set("group.id", group).set("enable.auto.commit", "false");
    BaseConsumer::from_config_and_context(&config, LoggingContext).map_err(AdminError::Configuration)
}
