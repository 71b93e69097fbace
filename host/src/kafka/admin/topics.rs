//! Topics: which there are, making missing ones, and how large their records may be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, ConfigResource, ConfigResourceResult, NewTopic as NativeTopic, OwnedResourceSpecifier,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::admin::{AdminError, KafkaAdmin, LoggingContext, REQUEST_TIMEOUT, TopicCreation, options};
use crate::model::batch_bytes::BatchLimits;

/// Metadata of a new topic reaches every broker within a moment.
const VISIBLE_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A function does not wait longer for what only makes its batches fit.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// A topic to make when it is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// The partitions; -1 is the broker's default.
    pub(crate) partitions: i32,
    /// The replicas; -1 is the broker's default.
    pub(crate) replication: i32,
    /// Topic settings, such as `cleanup.policy`.
    pub(crate) config: BTreeMap<String, String>,
}

impl KafkaAdmin {
    /// Makes `topic` unless it exists, and waits until it can be used. Answers whether it was made.
    pub(crate) async fn create_topic(&self, topic: NewTopic) -> Result<bool, AdminError> {
        if self.topics().await?.contains_key(&topic.name) {
            return Ok(false);
        }
        let is_new = match &self.0.creation {
            TopicCreation::Broker => self.request_topic(&topic).await?,
            TopicCreation::Embedded(create) => {
                // The embedded broker knows no default number of partitions.
                let partitions = topic.partitions.max(1);
                create(&topic.name, partitions)
                    .map_err(|reason| AdminError::Embedded { topic: topic.name.clone(), reason })?;
                true
            }
        };
        self.wait_until_visible(&topic.name).await?;
        Ok(is_new)
    }

    async fn request_topic(&self, topic: &NewTopic) -> Result<bool, AdminError> {
        let mut native = NativeTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(topic.replication));
        for (key, value) in &topic.config {
            native = native.set(key, value);
        }
        let results = self
            .0
            .client
            .create_topics([&native], &options())
            .await
            .map_err(|error| AdminError::of(error, format!("create topic \"{}\"", topic.name)))?;
        for result in results {
            match result {
                Ok(_) => {}
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => return Ok(false),
                Err((_, code)) => return Err(AdminError::NotCreated { topic: topic.name.clone(), code }),
            }
        }
        Ok(true)
    }

    async fn wait_until_visible(&self, topic: &str) -> Result<(), AdminError> {
        let deadline = Instant::now() + VISIBLE_WITHIN;
        while !self.topics().await?.contains_key(topic) {
            if Instant::now() > deadline {
                return Err(AdminError::NotVisible { topic: topic.to_owned() });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// The largest record that `topic` takes, in bytes, or nothing when the broker does not say.
    pub(crate) async fn max_message_bytes(&self, topic: &str) -> Result<Option<u64>, AdminError> {
        if self.is_embedded() {
            return Ok(None);
        }
        let action = || format!("describe topic \"{topic}\"");
        for answer in self.describe(&[topic]).await.map_err(|error| AdminError::of(error, action()))? {
            let resource = answer.map_err(|code| AdminError::of_code(code, action()))?;
            if let Some(bytes) = largest_message(&resource) {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// How large a batch each of `topics` takes, of those that say so at once. A writer to the others finds out.
    pub(crate) async fn batch_limits<'a>(&self, topics: impl Iterator<Item = &'a str>) -> BatchLimits {
        if self.is_embedded() {
            return BatchLimits::default();
        }
        let topics: Vec<&str> = topics.collect::<BTreeSet<_>>().into_iter().collect();
        let answers = match tokio::time::timeout(TOLD_WITHIN, self.describe(&topics)).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(error)) => {
                tracing::debug!(%error, ?topics, "topics do not tell how large a batch they take");
                return BatchLimits::default();
            }
            Err(_elapsed) => return BatchLimits::default(),
        };
        let told = answers.into_iter().filter_map(|answer| match answer {
            Ok(resource) => {
                let largest = largest_message(&resource)?;
                let OwnedResourceSpecifier::Topic(topic) = resource.specifier else { return None };
                Some((topic, largest))
            }
            Err(error) => {
                tracing::debug!(%error, "a topic does not tell how large a batch it takes");
                None
            }
        });
        told.collect()
    }

    async fn describe(&self, topics: &[&str]) -> Result<Vec<ConfigResourceResult>, KafkaError> {
        let topics: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        self.0.client.describe_configs(&topics, &options()).await
    }
}

fn largest_message(resource: &ConfigResource) -> Option<u64> {
    let entry = resource.get("max.message.bytes")?;
    entry.value.as_ref()?.parse().ok()
}

/// Topics of which every partition has a leader, with their numbers of partitions.
pub(crate) fn list(client: &AdminClient<LoggingContext>) -> Result<BTreeMap<String, i32>, AdminError> {
    let metadata = client
        .inner()
        .fetch_metadata(None, REQUEST_TIMEOUT)
        .map_err(|error| AdminError::of(error, "list the topics"))?;
    let usable = metadata.topics().iter().filter(|topic| {
        let has_leaders = topic.partitions().iter().all(|partition| partition.leader() >= 0);
        topic.error().is_none() && !topic.partitions().is_empty() && has_leaders
    });
    Ok(usable
        .map(|topic| (topic.name().to_owned(), i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX)))
        .collect())
}
