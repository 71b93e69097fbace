//! Watches topics from their beginning, for people who want to see what appears.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::error::KafkaError;

use crate::kafka::read::topic_reader::{PolledStep, ReaderOptions, TopicReader};
use crate::kafka::settings::ClientSettings;
use crate::model::position::TopicPartition;
use crate::model::record::PastRecord;

const OPTIONS: ReaderOptions =
    ReaderOptions { group: "millstream.watch", latency: Duration::from_millis(50), ahead_kib: 65536 };

/// A reader of some topics.
pub(crate) struct TopicWatch(TopicReader);

impl TopicWatch {
    /// Starts at the first record of each topic, which comes with the number of its partitions.
    pub(crate) fn open(settings: &ClientSettings, topics: &[(&str, i32)]) -> Result<Self, KafkaError> {
        let watch = Self(TopicReader::open(settings, OPTIONS)?);
        for (topic, partitions) in topics {
            watch.begin(topic, *partitions)?;
        }
        Ok(watch)
    }

    /// Also watches `topic`, from its first record on. Asks Kafka how many partitions it has.
    pub(crate) fn add(&self, topic: &str) -> Result<(), KafkaError> {
        self.begin(topic, self.0.partitions(topic)?)
    }

    fn begin(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        self.0.follow((0..partitions).map(|partition| TopicPartition::new(topic, partition)), Offset::Beginning)
    }

    /// The next record, or nothing within `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Result<Option<PastRecord>, KafkaError> {
        let deadline = Instant::now() + patience;
        loop {
            match self.0.next(deadline.saturating_duration_since(Instant::now()))? {
                PolledStep::Record(record) => return Ok(Some(record.detach())),
                PolledStep::Quiet => return Ok(None),
                PolledStep::End(_) => {}
            }
        }
    }
}
