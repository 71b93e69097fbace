//! The native loop that `./run bench` measures Millstream against: one thread that consumes, makes upper case and
//! produces, with librdkafka and without any sandbox.
//!
//! `native-loop BOOTSTRAP FROM TO GROUP plain|transactional` works until it is ended.

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// As often as a transaction ends.
const TRANSACTION: Duration = Duration::from_millis(100);
/// As often as the plain loop waits for all that it sent, and commits.
const COMMIT: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(10);
/// Records between two looks at the clock and at delivery reports.
const STRIDE: u32 = 128;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [bootstrap, from, to, group, mode] = &arguments[..] else {
        bail!("usage: native-loop BOOTSTRAP FROM TO GROUP plain|transactional");
    };
    let mut work = Loop::start(bootstrap, from, to, group, mode == "transactional")?;
    loop {
        work.round()?;
    }
}

/// Counts what Kafka refused.
#[derive(Default)]
struct Reports {
    failed: AtomicU64,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            eprintln!("not delivered: {error}");
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Loop {
    consumer: BaseConsumer,
    producer: BaseProducer<Reports>,
    from: String,
    to: String,
    transactional: bool,
    is_open: bool,
    /// The next offset of each partition, of what was taken since the last commit.
    next: BTreeMap<i32, i64>,
    settled: Instant,
    upper: Vec<u8>,
}

impl Loop {
    fn start(bootstrap: &str, from: &str, to: &str, group: &str, transactional: bool) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            // A full queue is filled again when there is room, not a second later: that alone is a factor of four.
            .set("fetch.queue.backoff.ms", "10")
            .create()?;
        consumer.subscribe(&[from])?;
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", bootstrap)
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .set("queue.buffering.max.messages", "200000")
            .set("partitioner", "murmur2_random");
        if transactional {
            // The broker answers the first request after a commit with "not yet": librdkafka would wait 100 ms.
            settings.set("transactional.id", group).set("retry.backoff.ms", "2").set("transaction.timeout.ms", "9000");
        }
        let producer: BaseProducer<Reports> = settings.create_with_context(Reports::default())?;
        if transactional {
            producer.init_transactions(ANSWER)?;
        }
        Ok(Self {
            consumer,
            producer,
            from: from.to_owned(),
            to: to.to_owned(),
            transactional,
            is_open: false,
            next: BTreeMap::new(),
            settled: Instant::now(),
            upper: Vec::new(),
        })
    }

    /// Handles a stride of records, or fewer when there are no more, and commits when it is time.
    fn round(&mut self) -> anyhow::Result<()> {
        for _ in 0..STRIDE {
            match self.consumer.poll(Duration::from_millis(5)) {
                Some(Ok(record)) => {
                    if self.transactional && !self.is_open {
                        self.producer.begin_transaction()?;
                        self.is_open = true;
                    }
                    self.next.insert(record.partition(), record.offset() + 1);
                    send(&self.producer, &self.to, &record, &mut self.upper)?;
                }
                Some(Err(error)) => eprintln!("consumer: {error}"),
                None => break,
            }
        }
        self.producer.poll(Duration::ZERO);
        if self.producer.context().failed.load(Ordering::Relaxed) > 0 {
            bail!("Kafka refused a record");
        }
        let interval = if self.transactional { TRANSACTION } else { COMMIT };
        if self.settled.elapsed() >= interval {
            self.settle()?;
            self.settled = Instant::now();
        }
        Ok(())
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        if self.next.is_empty() {
            return Ok(());
        }
        // rust-rdkafka takes reports as events: librdkafka's own flush in a commit would wait for a poll.
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::from_millis(1));
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in std::mem::take(&mut self.next) {
            #[expect(clippy::disallowed_methods, reason = "the bench chose the name")]
            offsets.add_partition_offset(&self.from, partition, Offset::Offset(offset))?;
        }
        if !self.transactional {
            return Ok(self.consumer.commit(&offsets, CommitMode::Sync)?);
        }
        let group = self.consumer.group_metadata().context("the consumer has no group metadata")?;
        self.producer.send_offsets_to_transaction(&offsets, &group, ANSWER)?;
        self.producer.commit_transaction(ANSWER)?;
        self.is_open = false;
        Ok(())
    }
}

fn send(
    producer: &BaseProducer<Reports>,
    to: &str,
    record: &BorrowedMessage<'_>,
    upper: &mut Vec<u8>,
) -> anyhow::Result<()> {
    upper.clear();
    upper.extend_from_slice(record.payload().unwrap_or_default());
    upper.make_ascii_uppercase();
    let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(to).payload(upper);
    message.key = record.key();
    loop {
        match producer.send(message) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                message = refused;
                producer.poll(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}
