//! A transactional producer: the steps of one transaction, each blocking, each with what its failure means.
//!
//! Two things make a small transaction take 10 ms instead of 150: its messages are waited for before the commit (rdkafka
//! takes events, so librdkafka's own flush waits for someone to poll), and `retry.backoff.ms` is small (the broker
//! refuses the next transaction's first request until the last one's markers are written). For that, the first request must
//! be for offsets: librdkafka repeats one for partitions only after 20 ms.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext, PurgeConfig};
use rdkafka::util::IntoOpaque as _;

use crate::failpoint;
use crate::kafka::advice::{advised, advised_text};
use crate::kafka::bounded::answered_within;
use crate::kafka::client_log;
use crate::kafka::group::generation::GroupGeneration;
use crate::kafka::partition_list;
use crate::kafka::produce::enqueue::MessageEnqueuer;
use crate::kafka::produce::producer::{DeliveryError, LARGEST_MESSAGE, MessageBatching, QUEUED_MESSAGES, undelivered};
use crate::kafka::produce::topic_compression::{self, TopicHandles};
use crate::kafka::settings::ClientSettings;
use crate::model::batch_bytes::BatchBytes;
use crate::model::parcel::Parcel;
use crate::model::position::TopicPartition;

/// Below the session timeout of group members (10 s): when a host dies, its transaction is gone before its partitions
/// are another's.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(9);
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(8);
/// How long one step may be asked again.
const STEP_TIMEOUT: Duration = Duration::from_secs(8);
/// librdkafka 2.12.1 respects the step's timeout only as long as it has a request for it, and loses that when an answer comes
/// at a bad moment: then its call waits for ever (seen under faults, about once in five runs of 30 s). Longer than a
/// transaction may last no one needs to wait.
const OFFSETS_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks for delivery reports. rdkafka's own poll lasts as long as it is asked to, whatever arrives meanwhile,
/// and spins through the last millisecond of it: a sixth of what a busy host's processor did.
const LOOK_EVERY: Duration = Duration::from_micros(200);

pub(crate) use crate::kafka::produce::topic_compression::TopicCompression;

/// What the topics want to which a producer writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicSettings {
    /// Those with a compression of their own.
    pub(crate) compressions: Vec<TopicCompression>,
    /// The most bytes of a batch that all of them take, when they said.
    pub(crate) batch_bytes: Option<BatchBytes>,
}

/// What a failed step means.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepFailure {
    /// The transaction must be aborted; the producer continues.
    #[error("{}", advised(.0))]
    Abort(KafkaError),
    /// The producer must be replaced: it can't continue, or no one knows what became of the step.
    #[error("{}", advised(.0))]
    Replace(KafkaError),
}

/// See the module. Its transactions are one after another.
pub(crate) struct TransactionalProducer {
    // Dropped before the client.
    _topics: TopicHandles,
    client: Arc<BaseProducer<DeliveryReports>>,
}

impl TransactionalProducer {
    /// Makes a producer and fences every other one of `id`. Whatever such a one left open is settled afterwards.
    pub(crate) fn open(
        settings: &ClientSettings,
        id: &str,
        topics: &TopicSettings,
        batching: MessageBatching,
    ) -> Result<Self, String> {
        let mut config = settings.base();
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string())
            .set("message.timeout.ms", MESSAGE_TIMEOUT.as_millis().to_string())
            .set("message.max.bytes", LARGEST_MESSAGE)
            .set("retry.backoff.ms", "2")
            .set("retry.backoff.max.ms", "4")
            .set("linger.ms", "1")
            // A transaction is committed when nothing is on its way and nothing was refused: what went well need not be
            // reported message by message.
            .set("delivery.report.only.error", "true")
            .set("batch.num.messages", batching.most_messages())
            .set("queue.buffering.max.messages", QUEUED_MESSAGES.to_string())
            .set("queue.buffering.max.kbytes", "131072")
            .set("partitioner", "murmur2_random");
        if let Some(bytes) = settings.batch_size(topics.batch_bytes) {
            config.set("batch.size", bytes.get().to_string());
        }
        let reports = DeliveryReports { batching, refused: Mutex::default(), failure: Mutex::default() };
        let client =
            BaseProducer::from_config_and_context(&config, reports).map_err(|error: KafkaError| advised(&error))?;
        let topics = topic_compression::apply(client.client().native_client(), &topics.compressions)
            .map_err(|error| advised(&error))?;
        let deadline = Instant::now() + STEP_TIMEOUT;
        loop {
            match client.init_transactions(STEP_TIMEOUT) {
                Ok(()) => return Ok(Self { _topics: topics, client: Arc::new(client) }),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
                Err(error) => return Err(advised(&error)),
            }
        }
    }

    pub(crate) fn begin(&self) -> Result<(), StepFailure> {
        *self.client.context().failure() = None;
        self.client.begin_transaction().map_err(triage)
    }

    /// Adds the messages of `parcel`, whose refusals come back with their numbers from `first` on. Waits while librdkafka's
    /// queue is full. Ends early when one can't be added, which is reported at once.
    pub(crate) fn send(&self, parcel: &Parcel, first: usize, refused: &mut Vec<(usize, DeliveryError)>) {
        let mut giver = MessageEnqueuer::new(self.client.client().native_client());
        let (mut done, mut since) = (0, Instant::now());
        while done < parcel.messages.len() && refused.is_empty() {
            let number = first + done;
            let opaque = |place: usize| (number + place).into_ptr();
            let mut queued = giver.queue_some(parcel, &parcel.messages[done..], opaque);
            if queued.count > 0 {
                (done, since) = (done + queued.count, Instant::now());
            } else if since.elapsed() > MESSAGE_TIMEOUT {
                queued.refused.push((0, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)));
            } else {
                self.serve();
            }
            let named = |(place, error)| (number + place, undelivered(&error, MessageBatching::Alone));
            refused.extend(queued.refused.into_iter().map(named));
        }
    }

    /// Waits until every message is acknowledged, or one is refused: then the rest is not sent, since the transaction can
    /// only be aborted. Gives how many stayed without an answer.
    pub(crate) fn drain(&self, refused: &mut Vec<(usize, DeliveryError)>) -> usize {
        let deadline = Instant::now() + MESSAGE_TIMEOUT + Duration::from_secs(1);
        while refused.is_empty() && self.client.in_flight_count() > 0 && Instant::now() < deadline {
            self.serve();
            refused.append(&mut self.client.context().refused());
        }
        refused.append(&mut self.client.context().refused());
        if let Some(why) = &*self.client.context().failure() {
            // All messages of a transaction that failed are thrown away, and say no more than that.
            let purged = refused.iter_mut().filter(|(_, undelivered)| undelivered.reason.contains("Purged"));
            purged.for_each(|(_, undelivered)| undelivered.reason = advised_text(why));
        }
        usize::try_from(self.client.in_flight_count()).unwrap_or(0)
    }

    /// Takes what delivery reports there are, or waits a moment for some.
    fn serve(&self) {
        let outstanding = self.client.in_flight_count();
        self.client.poll(Duration::ZERO);
        if self.client.in_flight_count() == outstanding {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Adds offsets with their metadata, as the member of `generation`.
    pub(crate) fn send_offsets<'a>(
        &self,
        offsets: impl Iterator<Item = (&'a TopicPartition, i64, &'a str)>,
        generation: &Arc<GroupGeneration>,
    ) -> Result<(), StepFailure> {
        let offsets = partition_list::with_metadata(offsets).map_err(StepFailure::Abort)?;
        let (client, generation) = (self.client.clone(), generation.clone());
        let sent = answered_within(OFFSETS_TIMEOUT, move || {
            // A test makes it wait there.
            let _ = failpoint::at("transaction::sending-offsets");
            repeat(|| client.send_offsets_to_transaction(&offsets, &generation.metadata, STEP_TIMEOUT))
        });
        sent.unwrap_or(Err(StepFailure::Replace(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut))))
    }

    /// Makes all of it visible at once. After a failure no one knows whether it happened, unless it says `Abort`.
    pub(crate) fn commit(&self) -> Result<(), StepFailure> {
        repeat(|| self.client.commit_transaction(STEP_TIMEOUT))
    }

    pub(crate) fn abort(&self) -> Result<(), StepFailure> {
        // What is queued need not be sent. What is on its way is waited for: arriving after the abort it would be taken for
        // a message of the next transaction. librdkafka waits too, but for someone else to poll.
        let deadline = Instant::now() + MESSAGE_TIMEOUT;
        while self.client.in_flight_count() > 0 && Instant::now() < deadline {
            // Again and again: what Kafka refuses as out of sequence, because a message before it was refused, goes back
            // into the queue, where it would wait until it timed out.
            self.client.purge(PurgeConfig::default().queue());
            self.serve();
        }
        self.client.context().refused().clear();
        if self.client.in_flight_count() > 0 {
            return Err(StepFailure::Replace(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)));
        }
        // An abort that must be aborted is one that failed.
        repeat(|| self.client.abort_transaction(STEP_TIMEOUT)).map_err(|failure| match failure {
            StepFailure::Abort(error) | StepFailure::Replace(error) => StepFailure::Replace(error),
        })
    }
}

impl std::fmt::Debug for TransactionalProducer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TransactionalProducer").finish_non_exhaustive()
    }
}

/// Asks again while librdkafka says that the same call may be repeated. A step that stays unanswered is of unknown
/// outcome.
fn repeat(step: impl Fn() -> Result<(), KafkaError>) -> Result<(), StepFailure> {
    let deadline = Instant::now() + STEP_TIMEOUT;
    loop {
        match step() {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(triage(error)),
        }
    }
}

fn triage(error: KafkaError) -> StepFailure {
    match &error {
        KafkaError::Transaction(inner) if inner.txn_requires_abort() && !inner.is_fatal() => StepFailure::Abort(error),
        _ => StepFailure::Replace(error),
    }
}

/// Messages that were refused since the last drain, by their index.
struct DeliveryReports {
    batching: MessageBatching,
    refused: Mutex<Vec<(usize, DeliveryError)>>,
    /// Why the transaction failed. librdkafka says it in its log alone.
    failure: Mutex<Option<String>>,
}

impl DeliveryReports {
    fn failure(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock()
    }

    fn refused(&self) -> MutexGuard<'_, Vec<(usize, DeliveryError)>> {
        self.refused.lock()
    }
}

impl ClientContext for DeliveryReports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // The one names the topic that may not be written to, the other any other cause.
        if matches!(facility, "ADDPARTS" | "TXNERR") {
            let told = message.split_once("]: ").map_or(message, |(_, told)| told);
            self.failure().get_or_insert_with(|| told.to_owned());
        }
        client_log::line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client_log::error(&error, reason);
    }
}

impl ProducerContext for DeliveryReports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        match result {
            Ok(_) => {}
            Err((error, _)) => self.refused().push((index, undelivered(error, self.batching))),
        }
    }
}
