//! Writes logs in transactions, as the only writer: opening a writer fences every earlier one of the same id.
//!
//! A transaction that is not committed leaves nothing that a reader sees. A writer that failed is of no more use.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};

use crate::kafka::client_log;
use crate::kafka::produce::enqueue;
use crate::kafka::produce::producer::{LARGEST_MESSAGE, OutgoingMessage};
use crate::kafka::settings::ClientSettings;
use crate::kafka::topic_log::{PARTITION, TopicLogError};
use crate::model::record::HeaderRef;

/// An upload of the largest module over a slow line fits; a host that died holds readers up no longer.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const SERVE_EVERY: Duration = Duration::from_millis(10);
const ACTION: &str = "write to";

/// The only writer of an id, with one transaction at a time.
pub(crate) struct LogWriter {
    producer: BaseProducer<LogDeliveries>,
    topic: String,
    deadline: Instant,
    has_begun: bool,
}

impl LogWriter {
    /// Fences every other writer of `transactional_id`. `topic` is for messages.
    pub(crate) fn open(settings: &ClientSettings, transactional_id: &str, topic: &str) -> Result<Self, TopicLogError> {
        let mut config = settings.base();
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string())
            .set("message.timeout.ms", (TRANSACTION_TIMEOUT - Duration::from_secs(5)).as_millis().to_string())
            .set("message.max.bytes", LARGEST_MESSAGE)
            // As functions write: what is keyed alike lies alike.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "2")
            .set("retry.backoff.ms", "5");
        let of = |error| TopicLogError::of(error, ACTION, topic);
        let producer = BaseProducer::from_config_and_context(&config, LogDeliveries::default()).map_err(of)?;
        producer.init_transactions(REQUEST_TIMEOUT).map_err(of)?;
        Ok(Self { producer, topic: topic.to_owned(), deadline: Instant::now(), has_begun: false })
    }

    /// Queues a record, or a tombstone; the first one begins the transaction. Waits while librdkafka's queue is full.
    pub(crate) fn send(&mut self, topic: &str, key: &[u8], value: Option<&[u8]>) -> Result<(), TopicLogError> {
        let headers = std::iter::empty();
        self.queue(&OutgoingMessage { topic, key: Some(key), value, headers }, Some(PARTITION))
    }

    /// The same for a message to another topic, which goes where its key says.
    pub(crate) fn publish<'a>(
        &mut self,
        message: OutgoingMessage<'_, impl Iterator<Item = HeaderRef<'a>> + Clone>,
    ) -> Result<(), TopicLogError> {
        self.queue(&message, None)
    }

    fn queue<'a>(
        &mut self,
        message: &OutgoingMessage<'_, impl Iterator<Item = HeaderRef<'a>> + Clone>,
        partition: Option<i32>,
    ) -> Result<(), TopicLogError> {
        self.begin()?;
        loop {
            match enqueue::queue(self.producer.client().native_client(), message.clone(), partition, ()) {
                Ok(()) => return Ok(()),
                Err((error, ())) if enqueue::is_queue_full(&error) => {
                    self.check_time()?;
                    self.producer.poll(SERVE_EVERY);
                }
                Err((error, ())) => return Err(self.failure(error)),
            }
        }
    }

    fn begin(&mut self) -> Result<(), TopicLogError> {
        if self.has_begun {
            return Ok(());
        }
        self.producer.begin_transaction().map_err(|error| self.failure(error))?;
        self.deadline = Instant::now() + TRANSACTION_TIMEOUT;
        self.has_begun = true;
        Ok(())
    }

    /// Waits until everything queued is acknowledged. Answers the first offset since the last flush.
    pub(crate) fn flush(&self) -> Result<Option<i64>, TopicLogError> {
        while self.producer.in_flight_count() > 0 {
            self.check_time()?;
            self.producer.poll(SERVE_EVERY);
        }
        let delivered = std::mem::take(&mut *self.producer.context().lock());
        match delivered.failure {
            Some(error) => Err(self.failure(error)),
            None => Ok(delivered.first_offset),
        }
    }

    /// Makes everything visible to readers, all at once.
    pub(crate) fn commit(&mut self) -> Result<(), TopicLogError> {
        self.flush()?;
        self.has_begun = false;
        loop {
            match self.producer.commit_transaction(REQUEST_TIMEOUT) {
                Ok(()) => return Ok(()),
                // The same commit may be asked again; whether it happened stays unknown until then.
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < self.deadline => {}
                Err(error) => return Err(self.failure(error)),
            }
        }
    }

    /// Leaves nothing behind. Without it the broker does the same when the transaction times out.
    pub(crate) fn abort(self) -> Result<(), TopicLogError> {
        if !self.has_begun {
            return Ok(());
        }
        self.producer.abort_transaction(REQUEST_TIMEOUT).map_err(|error| self.failure(error))
    }

    fn check_time(&self) -> Result<(), TopicLogError> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(TopicLogError::TimedOut { action: ACTION, topic: self.topic.clone() })
    }

    /// librdkafka often says only that the client has failed for good; the cause lies beside it.
    fn failure(&self, error: KafkaError) -> TopicLogError {
        let cause = match self.producer.client().fatal_error() {
            Some((code, _)) => KafkaError::Global(code),
            None => error,
        };
        TopicLogError::of(cause, ACTION, &self.topic)
    }
}

#[derive(Default)]
struct LogDelivery {
    first_offset: Option<i64>,
    failure: Option<KafkaError>,
}

#[derive(Default)]
struct LogDeliveries(Mutex<LogDelivery>);

impl LogDeliveries {
    fn lock(&self) -> parking_lot::MutexGuard<'_, LogDelivery> {
        self.0.lock()
    }
}

impl ClientContext for LogDeliveries {
    /// Being fenced is how two hosts take turns, yet librdkafka calls it fatal. What matters comes back as an error.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::line(RDKafkaLogLevel::Debug, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client_log::error(&error, reason);
    }
}

impl ProducerContext for LogDeliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut delivered = self.lock();
        match result {
            Ok(message) => {
                let offset = message.offset();
                delivered.first_offset = Some(delivered.first_offset.map_or(offset, |first| first.min(offset)));
            }
            Err((error, _)) if delivered.failure.is_none() => delivered.failure = Some(error.clone()),
            Err(_) => {}
        }
    }
}
