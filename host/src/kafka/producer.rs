//! The idempotent producer that the at-least-once functions of a host share: one client per compression and size of
//! batches.
//!
//! Nothing is awaited one by one: each message carries a [`Ticket`], and whoever holds the other end counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::client::{ClientContext, NativeClient};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaRespErr;

use super::advice::advised;
use super::record_queue::HeaderRef;
use super::settings::ClientSettings;
use super::{client_log, sending};
use crate::failpoint;
use crate::model::batch_bytes::BatchBytes;
use crate::model::function::Compression;
use crate::model::parcel::{Message, Parcel};

/// What librdkafka allows at most; a topic's or broker's own `max.message.bytes` refuses what it does not take.
pub(super) const LARGEST_MESSAGE: &str = "100000000";

/// How messages share batches. Kafka refuses a batch as a whole when it is larger than its topic takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Batching {
    /// As many as there are.
    Together,
    /// One message a batch: what is refused then is refused for itself.
    Alone,
}

impl Batching {
    pub(super) fn most_messages(self) -> &'static str {
        match self {
            Self::Together => "10000",
            Self::Alone => "1",
        }
    }
}

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
    /// Whether a whole batch was refused as too large: alone the message may be accepted.
    pub together: bool,
    /// Whether Kafka answered nothing in time.
    pub unanswered: bool,
    /// What Kafka said.
    pub reason: String,
}

/// A message to be written, borrowed from its parcel.
#[derive(Debug, Clone)]
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

impl<'a> Outgoing<'a, ()> {
    /// A message of `parcel`.
    pub fn of(parcel: &'a Parcel, message: &'a Message) -> Outgoing<'a, impl Iterator<Item = HeaderRef<'a>> + Clone> {
        Outgoing {
            topic: &message.topic,
            key: message.key.as_ref().map(|key| parcel.slice(key)),
            value: message.value.as_ref().map(|value| parcel.slice(value)),
            headers: parcel.headers_of(message),
        }
    }
}

/// Why a message could not be queued.
#[derive(Debug)]
pub enum NotQueued {
    /// The producer's queue is full: try again soon.
    Full,
    /// The message will not be delivered.
    Refused(Undelivered),
}

struct DeliveryContext {
    batching: Batching,
}

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
        let result = result.as_ref().map(|_| ()).map_err(|(error, _)| undelivered(error, self.batching));
        listener.delivered(message, result);
    }
}

/// The producers of a host; cheap to clone.
///
/// An idempotent client may give up for good, such as when a broker that comes back disagrees about what it wrote. Then
/// whoever writes goes on with the clients of the next [`Round`], once the broken one has answered for all that it had:
/// earlier, what comes would overtake what failed.
#[derive(Clone)]
pub struct Producers {
    settings: ClientSettings,
    /// A client that broke stays here, so that nobody gets another one in its place unasked.
    clients: Arc<Mutex<HashMap<Kind, Arc<Client>>>>,
}

/// Counts how often the clients of a writer were replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Round(u32);

/// What makes two clients differ.
type Kind = (Round, Compression, Batching, Option<BatchBytes>);

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

    /// The round after those of which a client broke for good. Only for a writer of which nothing is on its way.
    pub fn unbroken(&self, mut round: Round) -> Round {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let is_broken = |of: Round| {
            let mut of_round = clients.iter().filter(|((round, ..), _)| *round == of);
            of_round.any(|(_, client)| client.0.client().fatal_error().is_some())
        };
        while is_broken(round) {
            round.0 += 1;
            tracing::warn!(round = round.0, "a producer gave up for good; others take its place");
        }
        round
    }

    /// The producer of a round that compresses and batches so, for topics that take batches of `bytes`.
    pub fn with(
        &self,
        round: Round,
        compression: Option<Compression>,
        batching: Batching,
        bytes: Option<BatchBytes>,
    ) -> Result<Producer, KafkaError> {
        let bytes = self.settings.batch_size(bytes).filter(|_| batching == Batching::Together);
        let kind = (round, compression.unwrap_or(Compression::None), batching, bytes);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(Producer(client.clone()));
        }
        let client = Arc::new(Client(self.create(kind)?));
        clients.insert(kind, client.clone());
        Ok(Producer(client))
    }

    fn create(&self, (_, compression, batching, bytes): Kind) -> Result<ThreadedProducer<DeliveryContext>, KafkaError> {
        let mut config = self.settings.base();
        config
            .set("enable.idempotence", "true")
            // Without end: what a function emitted waits for its broker, and back-pressure holds the rest.
            .set("message.timeout.ms", "0")
            .set("message.max.bytes", LARGEST_MESSAGE)
            .set("compression.codec", codec(compression))
            .set("linger.ms", "1")
            .set("batch.num.messages", batching.most_messages())
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "131072")
            // Java's partitioner, so that what is keyed alike lies alike whoever wrote it.
            .set("partitioner", "murmur2_random");
        if let Some(bytes) = bytes {
            config.set("batch.size", bytes.get().to_string());
        }
        config.create_with_context(DeliveryContext { batching })
    }
}

/// One of the producers.
#[derive(Clone)]
pub struct Producer(Arc<Client>);

impl Producer {
    /// Queues a message. On success the ticket's listener is told exactly once; otherwise never.
    pub fn send<'a>(
        &self,
        message: Outgoing<'_, impl Iterator<Item = HeaderRef<'a>>>,
        ticket: Ticket,
    ) -> Result<(), NotQueued> {
        let client = self.0.0.client().native_client();
        if failpoint::at("producer::send").is_err() {
            break_for_good(client);
        }
        sending::queue(client, message, None, ticket).map_err(|(error, _)| match is_queue_full(&error) {
            true => NotQueued::Full,
            // What is refused here is refused for itself.
            false => NotQueued::Refused(undelivered(&error, Batching::Alone)),
        })
    }

    /// Waits until nothing is queued or on its way. Blocks up to `longest`.
    pub fn flush(&self, longest: Duration) -> Result<(), KafkaError> {
        self.0.0.flush(longest)
    }
}

/// As librdkafka does it when it and a broker disagree about sequence numbers.
#[allow(unsafe_code, reason = "rdkafka does not wrap what librdkafka has for tests")]
fn break_for_good(client: &NativeClient) {
    // SAFETY: the client lives as long as the borrow; the text ends with a zero byte and is copied.
    unsafe {
        ffi::rd_kafka_test_fatal_error(
            client.ptr(),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
            c"a failpoint was reached".as_ptr(),
        );
    }
}

pub(super) fn is_queue_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

pub(super) fn codec(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

pub(super) fn undelivered(error: &KafkaError, batching: Batching) -> Undelivered {
    use RDKafkaErrorCode::{
        InvalidMessage, InvalidMessageSize, InvalidRecord, InvalidTimestamp, MessageBatchTooLarge, MessageSizeTooLarge,
        PolicyViolation,
    };
    let code = error.rdkafka_error_code();
    let is_large = matches!(code, Some(MessageSizeTooLarge | MessageBatchTooLarge | InvalidMessageSize));
    let is_invalid = matches!(code, Some(InvalidMessage | InvalidRecord | InvalidTimestamp | PolicyViolation));
    let together = is_large && batching == Batching::Together;
    Undelivered {
        for_good: is_invalid || (is_large && !together),
        together,
        unanswered: code == Some(RDKafkaErrorCode::MessageTimedOut),
        reason: advised(error),
    }
}
