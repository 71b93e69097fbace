//! What a function needs on the cluster before its record is accepted: topics, and where its group starts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::config::offset_target::OffsetTarget;
use crate::kafka::admin::{AdminError, KafkaAdmin, NewTopic, PartitionBounds, StartOffset};
use crate::kafka::produce::codecs;
use crate::kafka::produce::producer::codec;
use crate::model::clock::now_ms;
use crate::model::function::{Manifest, TopicSelection};
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::model::inputs::whole_name;
use crate::model::offset_map;
use crate::model::offsets::PartitionProgress;
use crate::model::position::TopicPartition;
use crate::model::shadow::{ShadowBookmark, ShadowCounts};
use crate::registry::reserved_topics::{ReservedTopicUsed, ReservedTopics};
use crate::registry::reset::ResetOrder;

/// Prepares a cluster for functions.
pub(crate) trait ClusterAdmin: Send + Sync {
    /// Makes the missing topics of a function, or says which are missing.
    fn make_topics<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), ClusterError>>;

    /// Empties the function's group and stores where it starts.
    fn store_start_offsets<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), ClusterError>>;

    /// What it would mean for the function's group to go where `order` says.
    fn plan_moves<'a>(
        &'a self,
        manifest: &'a Manifest,
        order: &'a ResetOrder,
    ) -> BoxFuture<'a, Result<Vec<OffsetMove>, ClusterError>>;

    /// Moves the function's group, which must be empty.
    fn move_offsets<'a>(
        &'a self,
        name: &'a FunctionName,
        moves: &'a [OffsetMove],
    ) -> BoxFuture<'a, Result<(), ClusterError>>;

    /// Whether anyone is in the function's group, as far as the cluster says.
    fn has_members<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Result<bool, ClusterError>>;

    /// Stores that the shadow `number` of the function with this live manifest begins with the records that come from now on.
    fn begin_shadow<'a>(
        &'a self,
        live: &'a Manifest,
        number: RevisionNumber,
    ) -> BoxFuture<'a, Result<(), ClusterError>>;

    /// Forgets how far a shadow is.
    fn end_shadow<'a>(
        &'a self,
        name: &'a FunctionName,
        number: RevisionNumber,
    ) -> BoxFuture<'a, Result<(), ClusterError>>;

    /// Deletes the function's group, which must be empty.
    fn delete_group<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Result<(), ClusterError>>;
}

/// Some of a function's partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PartitionSelection {
    pub(crate) topic: Option<String>,
    pub(crate) partition: Option<i32>,
}

/// From where to where a group goes in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetMove {
    pub(crate) to: PartitionBounds,
    /// Where it was; nothing when it has committed nothing there.
    pub(crate) from: Option<i64>,
}

/// Why a cluster is not ready for a function.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// Topics are missing and may not be made.
    #[error("no such topic: {}; create it, or set topics.create = true in the host's configuration", .0.join(", "))]
    MissingTopics(Vec<String>),
    /// The pattern cannot be used.
    #[error("topics_pattern \"{pattern}\" is not a regular expression: {reason}")]
    Pattern { pattern: String, reason: String },
    /// A topic of the hosts' own: a stray record in it could delete a function.
    #[error(transparent)]
    Reserved(#[from] ReservedTopicUsed),
    /// The function has no such partition.
    #[error("{0}")]
    Selection(String),
    /// Nothing would be written to the output.
    #[error(
        "output \"{output}\" asks for compression \"{codec}\", which this build of the host lacks (it has {features}); \
         choose another, or rebuild the host with it"
    )]
    Codec { output: String, codec: &'static str, features: String },
    /// Kafka refused or did not answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicPolicy {
    /// Whether they are made at all.
    pub(crate) create: bool,
    /// How many partitions they get; -1 is the cluster's default.
    pub(crate) partitions: i32,
    /// How many replicas they get; -1 is the cluster's default.
    pub(crate) replication: i32,
}

/// A Kafka cluster, or the embedded broker.
#[derive(Debug, Clone)]
pub(crate) struct KafkaCluster {
    admin: KafkaAdmin,
    policy: TopicPolicy,
    reserved: ReservedTopics,
}

/// Members of a group that a host forgot to take leave of are gone after their session timeout of 10 s.
const MEMBERS_LEAVE_WITHIN: Duration = Duration::from_secs(20);

impl KafkaCluster {
    /// A cluster reached by `admin`.
    pub(crate) fn new(admin: KafkaAdmin, policy: TopicPolicy, reserved: ReservedTopics) -> Self {
        Self { admin, policy, reserved }
    }

    async fn make_missing(&self, manifest: &Manifest) -> Result<(), ClusterError> {
        self.reserved.check(manifest)?;
        check_codecs(manifest)?;
        let existing = self.admin.topics().await?;
        let mut wanted: BTreeSet<&str> = manifest.outputs.values().map(|output| output.topic.as_str()).collect();
        if let TopicSelection::Named(topics) = &manifest.topics {
            wanted.extend(topics.iter().map(String::as_str));
        }
        let is_missing = |topic: &&str| !existing.contains_key(*topic);
        let missing: Vec<&str> = wanted.iter().copied().filter(is_missing).collect();
        let dead_letters = Some(manifest.dead_letter_topic.as_str()).filter(is_missing);
        let ticks = manifest.ticks().filter(|ticks| is_missing(&ticks.as_str()));
        if !self.policy.create {
            let all: BTreeSet<_> =
                missing.into_iter().chain(dead_letters).chain(ticks.as_deref()).map(str::to_owned).collect();
            return if all.is_empty() { Ok(()) } else { Err(ClusterError::MissingTopics(all.into_iter().collect())) };
        }
        if let Some(ticks) = ticks {
            // One after another.
            let topic =
                NewTopic { name: ticks, partitions: 1, replication: self.policy.replication, config: BTreeMap::new() };
            self.admin.create_topic(topic).await?;
        }
        for topic in missing.into_iter().filter(|topic| Some(*topic) != dead_letters) {
            self.make(topic, BTreeMap::new()).await?;
        }
        if let Some(topic) = dead_letters {
            let config = self.dead_letter_config(manifest).await?;
            self.make(topic, config).await?;
        }
        Ok(())
    }

    async fn make(&self, topic: &str, config: BTreeMap<String, String>) -> Result<(), ClusterError> {
        let TopicPolicy { partitions, replication, .. } = self.policy;
        let is_new =
            self.admin.create_topic(NewTopic { name: topic.to_owned(), partitions, replication, config }).await?;
        if is_new {
            tracing::info!(topic, "created a missing topic");
        }
        Ok(())
    }

    /// A dead letter is its record and why it was dead-lettered: it must fit where the record itself did.
    async fn dead_letter_config(&self, manifest: &Manifest) -> Result<BTreeMap<String, String>, ClusterError> {
        let mut largest = None;
        for topic in self.sources(manifest).await? {
            largest = largest.max(self.admin.max_message_bytes(&topic).await?);
        }
        // Kafka keeps the size in 32 bits.
        let doubled = largest.map(|bytes: u64| bytes.saturating_mul(2).min(i32::MAX as u64).to_string());
        Ok(doubled.map(|bytes| ("max.message.bytes".to_owned(), bytes)).into_iter().collect())
    }

    /// The topics that trigger the function, as the cluster has them now.
    async fn sources(&self, manifest: &Manifest) -> Result<Vec<String>, ClusterError> {
        let mut sources = manifest.named_inputs();
        if let TopicSelection::Pattern(pattern) = &manifest.topics {
            let whole_name = whole_name(pattern)
                .map_err(|error| ClusterError::Pattern { pattern: pattern.clone(), reason: error.to_string() })?;
            let existing = self.admin.topics().await?.into_keys();
            let matching: Vec<_> =
                existing.filter(|topic| whole_name.is_match(topic) && !sources.contains(topic)).collect();
            sources.extend(matching);
        }
        Ok(sources)
    }
}

fn check_codecs(manifest: &Manifest) -> Result<(), ClusterError> {
    // Without the list, the client is assumed to have all.
    let Some(features) = codecs::built_in() else { return Ok(()) };
    let asked = manifest.outputs.iter().filter_map(|(name, output)| Some((name, output.compression?)));
    match asked.into_iter().find(|(_, compression)| codecs::is_missing(&features, *compression)) {
        Some((output, compression)) => {
            Err(ClusterError::Codec { output: output.to_string(), codec: codec(compression), features })
        }
        None => Ok(()),
    }
}

/// Those of `partitions` that are meant.
fn select(
    partitions: Vec<TopicPartition>,
    selection: &PartitionSelection,
) -> Result<Vec<TopicPartition>, ClusterError> {
    let topics: BTreeSet<String> = partitions.iter().map(|partition| partition.topic.to_string()).collect();
    let names = || topics.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let refused = |reason: String| Err(ClusterError::Selection(reason));
    if topics.is_empty() {
        return refused("the function reads no topic, so that there is no place to go to".to_owned());
    }
    if let Some(topic) = selection.topic.as_ref().filter(|topic| !topics.contains(*topic)) {
        return refused(format!("the function does not read topic \"{topic}\"; it reads {}", names()));
    }
    if selection.partition.is_some() && selection.topic.is_none() && topics.len() > 1 {
        return refused(format!("of which topic is the partition? The function reads {}", names()));
    }
    let is_meant = |partition: &TopicPartition| {
        selection.topic.as_ref().is_none_or(|topic| **topic == *partition.topic)
            && selection.partition.is_none_or(|number| number == partition.partition)
    };
    let meant: Vec<_> = partitions.into_iter().filter(is_meant).collect();
    match selection.partition {
        Some(number) if meant.is_empty() => refused(format!("there is no partition {number}")),
        _ => Ok(meant),
    }
}

/// Says which topic a group starts in, in the form in which its hosts say it later.
fn nothing_finished(start: &StartOffset) -> String {
    offset_map::encode(&PartitionProgress::new(start.offset), start.topic_id, 0, offset_map::LONGEST).text
}

impl ClusterAdmin for KafkaCluster {
    fn make_topics<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), ClusterError>> {
        Box::pin(self.make_missing(manifest))
    }

    fn store_start_offsets<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), ClusterError>> {
        Box::pin(async {
            let topics = self.sources(manifest).await?;
            let group = manifest.name.group_id();
            let starts = self
                .admin
                .store_start_offsets(&group, topics, manifest.initial_offset, MEMBERS_LEAVE_WITHIN, nothing_finished)
                .await?;
            tracing::info!(function = %manifest.name, partitions = starts.len(), "stored the start offsets");
            Ok(())
        })
    }

    fn plan_moves<'a>(
        &'a self,
        manifest: &'a Manifest,
        order: &'a ResetOrder,
    ) -> BoxFuture<'a, Result<Vec<OffsetMove>, ClusterError>> {
        Box::pin(async move {
            let all = self.admin.partitions_of(self.sources(manifest).await?).await?;
            let meant = select(all, &order.selection)?;
            let places = self.admin.locate(meant.clone(), order.to).await?;
            let asked = meant.iter().map(|partition| (partition.topic.to_string(), partition.partition)).collect();
            let committed = self.admin.committed(&manifest.name.group_id(), asked).await?;
            Ok(places.into_iter().zip(committed).map(|(to, from)| OffsetMove { to, from }).collect())
        })
    }

    fn move_offsets<'a>(
        &'a self,
        name: &'a FunctionName,
        moves: &'a [OffsetMove],
    ) -> BoxFuture<'a, Result<(), ClusterError>> {
        let places = moves.iter().map(|OffsetMove { to, .. }| (to.partition.clone(), to.offset)).collect();
        Box::pin(async move { Ok(self.admin.move_group(&name.group_id(), places).await?) })
    }

    fn has_members<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Result<bool, ClusterError>> {
        Box::pin(async move { Ok(self.admin.group_has_members(&name.group_id()).await?) })
    }

    fn begin_shadow<'a>(
        &'a self,
        live: &'a Manifest,
        number: RevisionNumber,
    ) -> BoxFuture<'a, Result<(), ClusterError>> {
        Box::pin(async move {
            let partitions = self.admin.partitions_of(self.sources(live).await?).await?;
            // Taken first: what comes of records beyond the ends is written later.
            let since_ms = now_ms();
            let ends = self.admin.locate(partitions, OffsetTarget::Latest).await?;
            let places = ends.into_iter().map(|PartitionBounds { partition, end, .. }| {
                let bookmark = ShadowBookmark { offset: end, since_ms, counts: ShadowCounts::default() };
                (partition, end, bookmark.text())
            });
            let bookmarks = self.admin.bookmarks(&live.name.shadow_group_id(number))?;
            Ok(bookmarks.write(places.collect()).await?)
        })
    }

    fn end_shadow<'a>(
        &'a self,
        name: &'a FunctionName,
        number: RevisionNumber,
    ) -> BoxFuture<'a, Result<(), ClusterError>> {
        Box::pin(async move { Ok(self.admin.delete_group(&name.shadow_group_id(number), Duration::ZERO).await?) })
    }

    fn delete_group<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Result<(), ClusterError>> {
        Box::pin(async move { Ok(self.admin.delete_group(&name.group_id(), Duration::ZERO).await?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_names_partitions_that_there_are() {
        let all =
            || ["a", "b"].iter().flat_map(|topic| (0..2).map(|number| TopicPartition::new(*topic, number))).collect();
        let pick = |topic: Option<&str>, partition| {
            select(all(), &PartitionSelection { topic: topic.map(str::to_owned), partition })
                .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
                .map_err(|error| error.to_string())
        };
        assert_eq!(pick(None, None).unwrap().len(), 4);
        assert_eq!(pick(Some("b"), None).unwrap(), ["b/0", "b/1"]);
        assert_eq!(pick(Some("b"), Some(1)).unwrap(), ["b/1"]);
        assert!(pick(Some("c"), None).unwrap_err().contains("it reads a, b"));
        assert!(pick(None, Some(1)).unwrap_err().contains("of which topic"));
        assert!(pick(Some("a"), Some(2)).unwrap_err().contains("no partition 2"));
        assert!(select(Vec::new(), &PartitionSelection::default()).is_err());
    }
}
