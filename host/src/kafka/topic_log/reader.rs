//! Reads a log. It belongs to no group: hosts do not share the work of reading the registry, each reads all of it.

use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::client_log::LoggingContext;
use crate::kafka::settings::ClientSettings;
use crate::kafka::topic_log::{LogRecord, PARTITION, TopicLogError};

const ACTION: &str = "read";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogItem {
    Record(LogRecord),
    /// Everything that was committed has been read.
    End,
    /// Nothing new in the time given.
    Quiet,
}

/// A reader of one log.
pub(crate) struct LogReader {
    consumer: BaseConsumer<LoggingContext>,
    topic: String,
}

impl LogReader {
    /// Starts at `offset`; at the first record that is left when that one is gone. `latency` is how long a broker may
    /// hold back an answer while there is nothing new.
    pub(crate) fn open(
        settings: &ClientSettings,
        topic: &str,
        offset: i64,
        latency: Duration,
    ) -> Result<Self, TopicLogError> {
        let mut config = settings.base();
        config
            // librdkafka wants a name even from a reader that neither joins nor commits.
            .set("group.id", "millstream.registry.reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", latency.as_millis().to_string())
            .set("queued.max.messages.kbytes", "4096");
        let consumer = BaseConsumer::from_config_and_context(&config, LoggingContext)
            .map_err(|error| TopicLogError::of(error, ACTION, topic))?;
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(topic, PARTITION, Offset::Offset(offset))
            .and_then(|()| consumer.assign(&assignment))
            .map_err(|error| TopicLogError::of(error, ACTION, topic))?;
        Ok(Self { consumer, topic: topic.to_owned() })
    }

    /// Waits up to `patience`. After an error the reader can go on, unless the topic is gone.
    pub(crate) fn next(&self, patience: Duration) -> Result<LogItem, TopicLogError> {
        match self.consumer.poll(patience) {
            None => Ok(LogItem::Quiet),
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(LogItem::End),
            Some(Err(error)) => Err(TopicLogError::of(error, ACTION, &self.topic)),
            Some(Ok(message)) => Ok(LogItem::Record(LogRecord {
                offset: message.offset(),
                key: message.key().unwrap_or_default().to_vec(),
                value: message.payload().map(<[u8]>::to_vec),
            })),
        }
    }

    /// The next record before `deadline`, or nothing at the log's end.
    pub(crate) fn next_before(&self, deadline: Instant) -> Result<Option<LogRecord>, TopicLogError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.next(left)? {
                LogItem::Record(record) => return Ok(Some(record)),
                LogItem::End => return Ok(None),
                LogItem::Quiet if Instant::now() >= deadline => {
                    return Err(TopicLogError::TimedOut { action: ACTION, topic: self.topic.clone() });
                }
                LogItem::Quiet => {}
            }
        }
    }
}
