//! The idempotent producer that the at-least-once functions of a host share: one client per compression.
//!
//! Nothing is awaited one by one: each message carries a [`Ticket`], and whoever holds the other end counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use super::client_log;
use super::settings::ClientSettings;
use crate::model::function::Compression;

/// What librdkafka allows at most; a topic's or broker's own `max.message.bytes` refuses what it does not take.
const LARGEST_MESSAGE: &str = "100000000";

/// Told what became of one message. Called on the producer's thread: must be quick.
pub trait Delivered: Send + Sync {
    /// Message number `message` was acknowledged, or was not.
    fn delivered(self: Arc<Self>, message: u32, result: Result<(), Undelivered>);
}

/// Who is told about which message.
pub type Ticket = Box<(Arc<dyn Delivered>, u32)>;

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undelivered {
    /// Whether the same message will never be accepted: too large, invalid, forbidden by the topic's settings.
    pub for_good: bool,
    /// What Kafka said.
    pub reason: String,
}

/// A message to be written, borrowed from its parcel.
#[derive(Debug)]
pub struct Outgoing<'a, H> {
    /// The topic.
    pub topic: &'a str,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: H,
}

/// Why a message could not be queued.
#[derive(Debug)]
pub enum NotQueued {
    /// The producer's queue is full: try again soon.
    Full,
    /// The message will not be delivered.
    Refused(Undelivered),
}

struct DeliveryContext;

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "millstream::kafka", %error, reason, "producer client");
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = Ticket;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Ticket) {
        let (listener, message) = *ticket;
        listener.delivered(message, result.as_ref().map(|_| ()).map_err(|(error, _)| undelivered(error)));
    }
}

/// The producers of a host; cheap to clone.
#[derive(Clone)]
pub struct Producers {
    settings: ClientSettings,
    clients: Arc<Mutex<HashMap<Compression, Arc<Client>>>>,
}

struct Client(ThreadedProducer<DeliveryContext>);

impl std::fmt::Debug for Producers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Producers").finish_non_exhaustive()
    }
}

impl Producers {
    /// Producers for one cluster. Clients are made when they are first needed.
    pub fn new(settings: ClientSettings) -> Self {
        Self { settings, clients: Arc::default() }
    }

    /// The producer that compresses so.
    pub fn with(&self, compression: Option<Compression>) -> Result<Producer, KafkaError> {
        let compression = compression.unwrap_or(Compression::None);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&compression) {
            return Ok(Producer(client.clone()));
        }
        let client = Arc::new(Client(self.create(compression)?));
        clients.insert(compression, client.clone());
        Ok(Producer(client))
    }

    fn create(&self, compression: Compression) -> Result<ThreadedProducer<DeliveryContext>, KafkaError> {
        let codec = match compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        };
        let mut config = self.settings.base();
        config
            .set("enable.idempotence", "true")
            // Without end: what a function emitted waits for its broker, and back-pressure holds the rest.
            .set("message.timeout.ms", "0")
            .set("message.max.bytes", LARGEST_MESSAGE)
            .set("compression.codec", codec)
            .set("linger.ms", "1")
            .set("batch.num.messages", "10000")
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "131072")
            // Java's partitioner, so that what is keyed alike lies alike whoever wrote it.
            .set("partitioner", "murmur2_random");
        config.create_with_context(DeliveryContext)
    }
}

/// One of the producers.
#[derive(Clone)]
pub struct Producer(Arc<Client>);

impl Producer {
    /// Queues a message. On success the ticket's listener is told exactly once; otherwise never.
    pub fn send<'a>(
        &self,
        message: Outgoing<'_, impl Iterator<Item = (&'a str, Option<&'a [u8]>)>>,
        ticket: Ticket,
    ) -> Result<(), NotQueued> {
        let mut record: BaseRecord<'_, [u8], [u8], Ticket> = BaseRecord::with_opaque_to(message.topic, ticket);
        record.key = message.key;
        record.payload = message.value;
        let mut headers = message.headers.peekable();
        if headers.peek().is_some() {
            let mut owned = OwnedHeaders::new_with_capacity(12);
            for (key, value) in headers {
                owned = owned.insert(Header { key, value });
            }
            record.headers = Some(owned);
        }
        self.0.0.send(record).map_err(|(error, _)| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => NotQueued::Full,
            _ => NotQueued::Refused(undelivered(&error)),
        })
    }

    /// Waits until nothing is queued or on its way. Blocks up to `longest`.
    pub fn flush(&self, longest: Duration) -> Result<(), KafkaError> {
        self.0.0.flush(longest)
    }
}

fn undelivered(error: &KafkaError) -> Undelivered {
    use RDKafkaErrorCode::{
        InvalidMessage, InvalidMessageSize, InvalidRecord, InvalidTimestamp, MessageBatchTooLarge, MessageSizeTooLarge,
        PolicyViolation,
    };
    let for_good = matches!(
        error.rdkafka_error_code(),
        Some(
            MessageSizeTooLarge
                | InvalidMessageSize
                | InvalidMessage
                | InvalidRecord
                | InvalidTimestamp
                | PolicyViolation
                | MessageBatchTooLarge
        )
    );
    Undelivered { for_good, reason: error.to_string() }
}
