//! The Kafka that all contestants share, and what the driver does with it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use millstream_tests::kafka::Kafka;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const ANSWER: Duration = Duration::from_secs(10);

/// A running broker.
pub(crate) struct Cluster {
    kafka: Kafka,
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

impl Cluster {
    /// Starts a broker; it ends with the driver.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let kafka = Kafka::start_for_measuring();
        let admin = config(&kafka.bootstrap).create()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { kafka, admin, runtime })
    }

    /// Where clients connect.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.kafka.bootstrap
    }

    /// The CPU time that the broker has used.
    pub(crate) fn cpu(&self) -> Duration {
        self.kafka.cpu()
    }

    /// Creates a topic.
    pub(crate) fn create(&self, topic: &str, partitions: i32) -> anyhow::Result<()> {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let created = self.runtime.block_on(self.admin.create_topics([&new], &AdminOptions::new()))?;
        for result in created {
            result.map_err(|(topic, code)| anyhow::anyhow!("topic {topic} could not be created: {code}"))?;
        }
        Ok(())
    }

    /// Deletes topics, so that a long run does not fill the disk.
    pub(crate) fn delete(&self, topics: &[&str]) -> anyhow::Result<()> {
        self.runtime.block_on(self.admin.delete_topics(topics, &AdminOptions::new()))?;
        Ok(())
    }

    /// Writes records of (partition, key, value) and waits until they are there.
    pub(crate) fn fill(&self, topic: &str, records: impl Iterator<Item = (i32, String, String)>) -> anyhow::Result<()> {
        let producer: ThreadedProducer<DefaultProducerContext> =
            config(self.bootstrap()).set("queue.buffering.max.messages", "200000").create()?;
        for (partition, key, value) in records {
            let mut record = BaseRecord::to(topic).partition(partition).key(&key).payload(&value);
            while let Err((error, refused)) = producer.send(record) {
                if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                    return Err(error).context("a record of the input could not be written");
                }
                record = refused;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(producer.flush(Duration::from_secs(60))?)
    }

    /// A client that reads the end offsets of a topic.
    pub(crate) fn probe(&self, topic: &str, partitions: i32) -> anyhow::Result<Probe> {
        Ok(Probe { consumer: reader(self.bootstrap())?, topic: topic.to_owned(), partitions })
    }

    /// Counts the records that a `read_committed` reader finds in a topic, and checks each with `is_right`.
    pub(crate) fn count(&self, topic: &str, partitions: i32, is_right: impl Fn(&[u8]) -> bool) -> anyhow::Result<u64> {
        let consumer = reader(self.bootstrap())?;
        consumer.assign(&all(topic, partitions, Offset::Beginning)?)?;
        let (mut count, mut ended) = (0, 0);
        while ended < partitions {
            match consumer.poll(ANSWER) {
                Some(Ok(record)) => {
                    ensure!(is_right(record.payload().unwrap_or_default()), "a wrong output in {topic}");
                    count += 1;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => return Err(error.into()),
                None => bail!("{topic} could not be read to its end"),
            }
        }
        Ok(count)
    }
}

/// See [`Cluster::probe`].
pub(crate) struct Probe {
    consumer: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl Probe {
    /// The sum of the offsets up to which a `read_committed` reader may read: one question for all partitions.
    pub(crate) fn end(&self) -> anyhow::Result<u64> {
        let started = Instant::now();
        let answer = loop {
            let asked = all(&self.topic, self.partitions, Offset::End)?;
            match self.consumer.offsets_for_times(asked, ANSWER) {
                // For a moment after a topic is created its broker does not know that it leads it.
                Err(_) if started.elapsed() < ANSWER => std::thread::sleep(Duration::from_millis(50)),
                answer => break answer?,
            }
        };
        let offsets = answer.elements().into_iter().map(|element| match element.offset() {
            Offset::Offset(offset) => offset as u64,
            _ => 0,
        });
        Ok(offsets.sum())
    }
}

/// A `read_committed` consumer without a group's duties.
pub(crate) fn reader(bootstrap: &str) -> anyhow::Result<BaseConsumer> {
    let mut config = config(bootstrap);
    config.set("group.id", "bench.reader").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    Ok(config.set("isolation.level", "read_committed").set("fetch.wait.max.ms", "100").create()?)
}

/// Every partition of a topic at that place.
pub(crate) fn all(topic: &str, partitions: i32, place: Offset) -> anyhow::Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        #[expect(clippy::disallowed_methods, reason = "the bench chose the name")]
        list.add_partition_offset(topic, partition, place)?;
    }
    Ok(list)
}

/// A client's configuration.
pub(crate) fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}
