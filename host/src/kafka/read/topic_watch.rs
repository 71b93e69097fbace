//! Watches topics from their beginning, without a group: for people who want to see what appears.

use std::time::Duration;

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};

use crate::kafka::client_log::LoggingContext;
use crate::kafka::settings::ClientSettings;

/// How long Kafka may take to tell of a topic.
const ASKS_FOR: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppearedRecord {
    pub(crate) topic: String,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    /// The headers that have a value, in order.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// A reader of some topics.
pub(crate) struct TopicWatch(BaseConsumer<LoggingContext>);

impl TopicWatch {
    /// Starts at the first record of each topic, of which the number of partitions is given too.
    pub(crate) fn open(settings: &ClientSettings, topics: &[(&str, i32)]) -> Result<Self, KafkaError> {
        let mut config = settings.base();
        config
            // librdkafka wants a name even from a reader that neither joins nor commits.
            .set("group.id", "millstream.watch")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50");
        let watch = Self(BaseConsumer::from_config_and_context(&config, LoggingContext)?);
        for (topic, partitions) in topics {
            watch.begin(topic, *partitions)?;
        }
        Ok(watch)
    }

    /// Also sees `topic`, from its first record on. Asks Kafka how many partitions it has.
    pub(crate) fn add(&self, topic: &str) -> Result<(), KafkaError> {
        let metadata = self.0.fetch_metadata(Some(topic), ASKS_FOR)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        self.begin(topic, i32::try_from(partitions).unwrap_or(i32::MAX))
    }

    fn begin(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        self.0.incremental_assign(&assignment)
    }

    /// The next record, or nothing within `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Result<Option<AppearedRecord>, KafkaError> {
        let Some(message) = self.0.poll(patience).transpose()? else { return Ok(None) };
        let headers = message.headers().map(|headers| {
            let with_value = headers.iter().filter_map(|header| Some((header.key.to_owned(), header.value?.to_vec())));
            with_value.collect()
        });
        Ok(Some(AppearedRecord {
            topic: message.topic().to_owned(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        }))
    }
}
