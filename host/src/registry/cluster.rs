//! What a function needs on the cluster before its record is accepted: topics, and where its group starts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::commit::offset_map;
use crate::kafka::admin::{Admin, AdminError, NewTopic, StartOffset};
use crate::model::function::{Manifest, Topics};
use crate::model::ids::FunctionName;
use crate::model::offsets::Progress;

/// Prepares a cluster for functions.
pub trait Cluster: Send + Sync {
    /// Makes the missing topics of a function, or says which are missing.
    fn make_topics<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), ClusterError>>;

    /// Empties the function's group and stores where it starts.
    fn store_start_offsets<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), ClusterError>>;

    /// Whether anybody is in the function's group, as far as the cluster tells.
    fn has_members<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Result<bool, ClusterError>>;

    /// Deletes the function's group, which must be empty.
    fn delete_group<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Result<(), ClusterError>>;
}

/// Why a cluster is not ready for a function.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Topics are missing and may not be made.
    #[error("no such topic: {}; create it, or set topics.create = true in the host's configuration", .0.join(", "))]
    MissingTopics(Vec<String>),
    /// The pattern cannot be used.
    #[error("topics_pattern \"{pattern}\" is not a regular expression: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// Kafka refused or did not answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// How topics are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPolicy {
    /// Whether they are made at all.
    pub create: bool,
    /// How many partitions they get; -1 is the cluster's default.
    pub partitions: i32,
    /// How many replicas they get; -1 is the cluster's default.
    pub replication: i32,
}

/// A Kafka cluster, or the embedded broker.
#[derive(Debug, Clone)]
pub struct KafkaCluster {
    admin: Admin,
    policy: TopicPolicy,
}

/// Members of a group that a host forgot to take leave of are gone after their session timeout of 10 s.
const MEMBERS_LEAVE_WITHIN: Duration = Duration::from_secs(20);

impl KafkaCluster {
    /// A cluster reached by `admin`.
    pub fn new(admin: Admin, policy: TopicPolicy) -> Self {
        Self { admin, policy }
    }

    async fn make_missing(&self, manifest: &Manifest) -> Result<(), ClusterError> {
        let existing = self.admin.topics().await?;
        let mut wanted: BTreeSet<&str> = manifest.outputs.values().map(|output| output.topic.as_str()).collect();
        if let Topics::Named(topics) = &manifest.topics {
            wanted.extend(topics.iter().map(String::as_str));
        }
        let is_missing = |topic: &&str| !existing.contains_key(*topic);
        let missing: Vec<&str> = wanted.iter().copied().filter(is_missing).collect();
        let dead_letters = Some(manifest.dead_letter_topic.as_str()).filter(is_missing);
        if !self.policy.create {
            let all: BTreeSet<_> = missing.into_iter().chain(dead_letters).map(str::to_owned).collect();
            return if all.is_empty() { Ok(()) } else { Err(ClusterError::MissingTopics(all.into_iter().collect())) };
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

    /// A dead letter is its record and why it was given up: it must fit where the record itself did.
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
        match &manifest.topics {
            Topics::Named(topics) => Ok(topics.clone()),
            Topics::Pattern(pattern) => {
                let whole_name = regex_lite::Regex::new(&format!("^(?:{pattern})$"))
                    .map_err(|error| ClusterError::Pattern { pattern: pattern.clone(), reason: error.to_string() })?;
                Ok(self.admin.topics().await?.into_keys().filter(|topic| whole_name.is_match(topic)).collect())
            }
        }
    }
}

/// Says which topic a group starts in, in the form in which its hosts say it later.
fn nothing_finished(start: &StartOffset) -> String {
    offset_map::encode(&Progress::new(start.offset), start.topic_id, 0, offset_map::LONGEST).text
}

impl Cluster for KafkaCluster {
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

    fn has_members<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Result<bool, ClusterError>> {
        Box::pin(async move { Ok(self.admin.group_has_members(&name.group_id()).await?) })
    }

    fn delete_group<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Result<(), ClusterError>> {
        Box::pin(async move { Ok(self.admin.delete_group(&name.group_id(), Duration::ZERO).await?) })
    }
}
