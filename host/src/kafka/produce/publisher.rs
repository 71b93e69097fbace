//! Writes single messages for someone who waits for each to be acknowledged: what the API publishes.
//!
//! Apart from the producers of functions: what cannot be written here is abandoned after a while instead of waiting
//! without end, and holds no one else up.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::Message as _;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::kafka::client_log;
use crate::kafka::produce::enqueue;
use crate::kafka::produce::enqueue::is_queue_full;
use crate::kafka::produce::producer::{LARGEST_MESSAGE, OutgoingMessage, codec};
use crate::kafka::settings::ClientSettings;
use crate::model::function::Compression;
use crate::model::parcel::Parcel;
use crate::model::record::HeaderRef;

/// How long a message is tried.
const WRITTEN_WITHIN: Duration = Duration::from_secs(30);
/// The wait while the client's queue is full.
const QUEUE_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// Where a message was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenPosition {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// Why a message was not written, as far as one knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct PublishError {
    pub(crate) kind: UnwrittenKind,
    /// What Kafka or its client said.
    pub(crate) reason: String,
}

/// Why a message was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnwrittenKind {
    /// The topic does not take it: too large, invalid.
    Refused,
    /// The host's user may not write there.
    Forbidden,
    /// There is no such topic.
    NoTopic,
    /// Kafka has not acknowledged it. It may be written all the same.
    Unknown,
}

/// The host's publisher. Clones share its clients.
#[derive(Clone)]
pub(crate) struct HostPublisher {
    settings: ClientSettings,
    clients: Arc<Mutex<HashMap<Compression, Arc<PublisherClient>>>>,
}

type PublisherClient = ThreadedProducer<AckContext>;
type PublishAnswer = oneshot::Sender<Result<WrittenPosition, PublishError>>;

struct AckContext;

impl ClientContext for AckContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "millstream::kafka", %error, reason, "publishing client");
    }
}

impl ProducerContext for AckContext {
    type DeliveryOpaque = Box<PublishAnswer>;

    fn delivery(&self, result: &DeliveryResult<'_>, answer: Box<PublishAnswer>) {
        let result = match result {
            Ok(message) => Ok(WrittenPosition { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(unwritten(error)),
        };
        // Anyone who asked may have gone.
        let _ = answer.send(result);
    }
}

impl std::fmt::Debug for HostPublisher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl HostPublisher {
    /// A publisher for one cluster. It connects when it is first needed.
    pub(crate) fn new(settings: ClientSettings) -> Self {
        Self { settings, clients: Arc::default() }
    }

    /// Writes every message of `parcel`, each for itself, and returns what became of each, in their order.
    pub(crate) async fn publish(&self, parcel: &Parcel) -> Vec<Result<WrittenPosition, PublishError>> {
        let mut answers = Vec::with_capacity(parcel.messages.len());
        for message in &parcel.messages {
            answers.push(self.queue(OutgoingMessage::of(parcel, message), message.compression).await);
        }
        join_all(answers.into_iter().map(answered)).await
    }

    /// Writes messages, and returns what became of each, in their order.
    pub(crate) async fn write<'a>(
        &self,
        messages: impl IntoIterator<Item = OutgoingMessage<'a, impl Iterator<Item = HeaderRef<'a>> + Clone>>,
    ) -> Vec<Result<WrittenPosition, PublishError>> {
        let mut answers = Vec::new();
        for message in messages {
            answers.push(self.queue(message, None).await);
        }
        join_all(answers.into_iter().map(answered)).await
    }

    async fn queue<'a>(
        &self,
        message: OutgoingMessage<'_, impl Iterator<Item = HeaderRef<'a>> + Clone>,
        compression: Option<Compression>,
    ) -> Result<oneshot::Receiver<Result<WrittenPosition, PublishError>>, PublishError> {
        let client = self.client(compression.unwrap_or(Compression::None)).map_err(|error| unwritten(&error))?;
        let (answer, answered) = oneshot::channel();
        let mut answer = Box::new(answer);
        let give_up = tokio::time::Instant::now() + WRITTEN_WITHIN;
        loop {
            match enqueue::queue(client.client().native_client(), message.clone(), None, answer) {
                Ok(()) => return Ok(answered),
                Err((error, back)) if is_queue_full(&error) && tokio::time::Instant::now() < give_up => answer = back,
                Err((error, _)) => return Err(unwritten(&error)),
            }
            tokio::time::sleep(QUEUE_AGAIN_AFTER).await;
        }
    }

    fn client(&self, compression: Compression) -> Result<Arc<PublisherClient>, KafkaError> {
        let mut clients = self.clients.lock();
        // One that failed for good is replaced; who waits for what it had hears of it.
        let unbroken = clients.get(&compression).filter(|client| client.client().fatal_error().is_none());
        if let Some(client) = unbroken {
            return Ok(client.clone());
        }
        let mut config = self.settings.base();
        config
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", WRITTEN_WITHIN.as_millis().to_string())
            .set("message.max.bytes", LARGEST_MESSAGE)
            .set("compression.codec", codec(compression))
            .set("linger.ms", "0")
            // What is refused is refused for itself.
            .set("batch.num.messages", "1")
            .set("queue.buffering.max.messages", "20000")
            .set("queue.buffering.max.kbytes", "65536")
            // As functions write: what is keyed alike lies alike.
            .set("partitioner", "murmur2_random");
        let client: Arc<PublisherClient> = Arc::new(config.create_with_context(AckContext)?);
        clients.insert(compression, client.clone());
        Ok(client)
    }
}

async fn answered(
    answer: Result<oneshot::Receiver<Result<WrittenPosition, PublishError>>, PublishError>,
) -> Result<WrittenPosition, PublishError> {
    let gone = |_| PublishError { kind: UnwrittenKind::Unknown, reason: "the client ended".to_owned() };
    answer?.await.map_err(gone)?
}

fn unwritten(error: &KafkaError) -> PublishError {
    use RDKafkaErrorCode::{
        InvalidMessage, InvalidMessageSize, InvalidRecord, InvalidTimestamp, InvalidTopic, MessageBatchTooLarge,
        MessageSizeTooLarge, PolicyViolation, TopicAuthorizationFailed, UnknownPartition, UnknownTopic,
        UnknownTopicOrPartition,
    };
    let kind = match error.rdkafka_error_code() {
        Some(
            InvalidMessage | InvalidMessageSize | InvalidRecord | InvalidTimestamp | MessageBatchTooLarge
            | MessageSizeTooLarge | PolicyViolation | InvalidTopic,
        ) => UnwrittenKind::Refused,
        Some(TopicAuthorizationFailed) => UnwrittenKind::Forbidden,
        Some(UnknownTopic | UnknownTopicOrPartition | UnknownPartition) => UnwrittenKind::NoTopic,
        _ => UnwrittenKind::Unknown,
    };
    PublishError { kind, reason: error.to_string() }
}
