//! The idempotent producer that the at-least-once functions of a host share: one client per compression and size of
//! batches.
//!
//! Nothing is awaited one by one: anyone who gives messages is notified of all of them at once.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::client::NativeClient;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use crate::failpoint;
use crate::kafka::advice::advised;
use crate::kafka::produce::enqueue::{EnqueueResult, MessageEnqueuer};
use crate::kafka::produce::ticketed_client::TicketedClient;
use crate::kafka::produce::tickets::{DeliveryWatcher, TicketBatch};
use crate::kafka::settings::ClientSettings;
use crate::model::batch_bytes::BatchBytes;
use crate::model::function::Compression;
use crate::model::parcel::{Parcel, ParcelMessage};
use crate::model::record::HeaderRef;

/// What librdkafka allows at most; a topic's or broker's own `max.message.bytes` refuses what it does not take.
pub(crate) const LARGEST_MESSAGE: &str = "100000000";

/// Messages that a client has at the most, on their way included.
pub(crate) const QUEUED_MESSAGES: usize = 200_000;

/// The wait while a client's queue is full.
const QUEUE_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// How messages share batches. Kafka refuses a batch as a whole when it is larger than its topic takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum MessageBatching {
    /// As many as there are.
    Together,
    /// One message a batch: what is refused then is refused for itself.
    Alone,
}

impl MessageBatching {
    pub(crate) fn most_messages(self) -> &'static str {
        match self {
            Self::Together => "10000",
            Self::Alone => "1",
        }
    }
}

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct DeliveryError {
    /// Whether the same message will never be accepted: too large, invalid, forbidden by the topic's settings.
    pub(crate) for_good: bool,
    /// Whether a whole batch was refused as too large: alone the message may be accepted.
    pub(crate) together: bool,
    /// Whether Kafka answered nothing in time.
    pub(crate) unanswered: bool,
    pub(crate) reason: String,
}

/// A message to be written, borrowed from its parcel.
#[derive(Debug, Clone)]
pub(crate) struct OutgoingMessage<'a, H> {
    pub(crate) topic: &'a str,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: H,
}

impl<'a> OutgoingMessage<'a, ()> {
    pub(crate) fn of(
        parcel: &'a Parcel,
        message: &'a ParcelMessage,
    ) -> OutgoingMessage<'a, impl Iterator<Item = HeaderRef<'a>> + Clone> {
        OutgoingMessage {
            topic: &message.topic,
            key: message.key.as_ref().map(|key| parcel.slice(key)),
            value: message.value.as_ref().map(|value| parcel.slice(value)),
            headers: parcel.headers_of(message),
        }
    }
}

/// The producers of a host; cheap to clone.
///
/// An idempotent client may fail for good, such as when a broker that comes back disagrees about what it wrote. Then
/// anyone who writes continues with the clients of the next [`ClientGeneration`], once the broken one has answered for all that it had:
/// earlier, what comes would overtake what failed.
#[derive(Clone)]
pub(crate) struct ProducerSet {
    settings: ClientSettings,
    /// A client that broke stays here, so that no one gets another one in its place unasked.
    clients: Arc<Mutex<HashMap<ProducerKind, Arc<TicketedClient>>>>,
}

/// Counts how often the clients of a writer were replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct ClientGeneration(u32);

/// What makes two clients differ.
type ProducerKind = (ClientGeneration, Compression, MessageBatching, Option<BatchBytes>);

impl std::fmt::Debug for ProducerSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Producers").finish_non_exhaustive()
    }
}

impl ProducerSet {
    /// Producers for one cluster. Clients are made when they are first needed.
    pub(crate) fn new(settings: ClientSettings) -> Self {
        Self { settings, clients: Arc::default() }
    }

    /// The round after those of which a client broke for good. Only for a writer of which nothing is on its way.
    pub(crate) fn unbroken(&self, mut round: ClientGeneration) -> ClientGeneration {
        let clients = self.clients.lock();
        let is_broken = |of: ClientGeneration| {
            let mut of_round = clients.iter().filter(|((round, ..), _)| *round == of);
            of_round.any(|(_, client)| client.is_broken())
        };
        while is_broken(round) {
            round.0 += 1;
            tracing::warn!(round = round.0, "a producer failed for good; others take its place");
        }
        round
    }

    /// The producer of a round that compresses and batches so, for topics that take batches of `bytes`.
    pub(crate) fn with(
        &self,
        round: ClientGeneration,
        compression: Option<Compression>,
        batching: MessageBatching,
        bytes: Option<BatchBytes>,
    ) -> Result<SharedProducer, KafkaError> {
        let bytes = self.settings.batch_size(bytes).filter(|_| batching == MessageBatching::Together);
        let kind = (round, compression.unwrap_or(Compression::None), batching, bytes);
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&kind) {
            return Ok(SharedProducer { client: client.clone(), batching });
        }
        let client = Arc::new(self.create(kind)?);
        clients.insert(kind, client.clone());
        Ok(SharedProducer { client, batching })
    }

    fn create(&self, (_, compression, batching, bytes): ProducerKind) -> Result<TicketedClient, KafkaError> {
        let mut config = self.settings.base();
        config
            .set("enable.idempotence", "true")
            // Without end: what a function emitted waits for its broker, and back-pressure holds the rest.
            .set("message.timeout.ms", "0")
            .set("message.max.bytes", LARGEST_MESSAGE)
            .set("compression.codec", codec(compression))
            .set("linger.ms", "1")
            .set("batch.num.messages", batching.most_messages())
            .set("queue.buffering.max.messages", QUEUED_MESSAGES.to_string())
            .set("queue.buffering.max.kbytes", "131072")
            // Java's partitioner, so that what is keyed alike lies alike whichever client wrote it.
            .set("partitioner", "murmur2_random");
        if let Some(bytes) = bytes {
            config.set("batch.size", bytes.get().to_string());
        }
        TicketedClient::start(config)
    }
}

#[derive(Clone)]
pub(crate) struct SharedProducer {
    client: Arc<TicketedClient>,
    batching: MessageBatching,
}

impl SharedProducer {
    /// Queues the messages of `parcel` that have these `numbers`, in order. Waits while the client's queue is full.
    /// `listener` is notified of all of them at once, when the last one is answered.
    pub(crate) async fn send(&self, parcel: &Parcel, numbers: Range<usize>, listener: Arc<dyn DeliveryWatcher>) {
        let client = self.client.native();
        if failpoint::at("producer::send").is_err() {
            break_for_good(client);
        }
        let messages = &parcel.messages[numbers.clone()];
        let mut tickets = TicketBatch::new(numbers, self.batching, listener);
        let mut giver = MessageEnqueuer::new(client);
        while tickets.given() < messages.len() {
            let rest = &messages[tickets.given()..];
            match giver.queue_some(parcel, rest, |place| tickets.ahead(place)) {
                EnqueueResult { count: 0, .. } => tokio::time::sleep(QUEUE_AGAIN_AFTER).await,
                // What is refused here is refused for itself.
                EnqueueResult { count, refused } => {
                    let named = |(place, error)| (place, undelivered(&error, MessageBatching::Alone));
                    tickets.give(count, refused.into_iter().map(named));
                }
            }
        }
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

pub(crate) fn codec(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

pub(crate) fn undelivered(error: &KafkaError, batching: MessageBatching) -> DeliveryError {
    use RDKafkaErrorCode::{
        InvalidMessage, InvalidMessageSize, InvalidRecord, InvalidTimestamp, MessageBatchTooLarge, MessageSizeTooLarge,
        PolicyViolation,
    };
    let code = error.rdkafka_error_code();
    let is_large = matches!(code, Some(MessageSizeTooLarge | MessageBatchTooLarge | InvalidMessageSize));
    let is_invalid = matches!(code, Some(InvalidMessage | InvalidRecord | InvalidTimestamp | PolicyViolation));
    let together = is_large && batching == MessageBatching::Together;
    DeliveryError {
        for_good: is_invalid || (is_large && !together),
        together,
        unanswered: code == Some(RDKafkaErrorCode::MessageTimedOut),
        reason: advised(error),
    }
}

#[cfg(test)]
mod tests;
