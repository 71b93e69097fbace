//! What the whole host asks a cluster of its functions' topics, with one client that is in no group. A function's own
//! consumer would answer late: its questions wait behind the fetch that waits for records.
//!
//! No one waits long for an answer: where Kafka is away, one lives with what was known before.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use crate::kafka::admin::topic_ids::{self, TopicLookups};
use crate::kafka::client_log::LoggingContext;
use crate::kafka::partition_list;
use crate::kafka::settings::ClientSettings;
use crate::model::position::TopicPartition;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// After a question that was not answered none is asked for this long.
const LEFT_ALONE_FOR: Duration = Duration::from_secs(2);

/// Offsets by partition; what Kafka did not say is missing.
pub(crate) type PartitionOffsets = BTreeMap<TopicPartition, i64>;

/// Asks. Clones share one client.
#[derive(Clone)]
pub(crate) struct MetadataProbe(Arc<ProbeState>);

struct ProbeState {
    client: BaseConsumer<LoggingContext>,
    /// The mock cluster answers no request for topic ids: it would hold up each deploy and each assignment.
    is_embedded: bool,
    /// One question at a time: when Kafka is away, one thread waits for it and no more.
    turn: Arc<tokio::sync::Mutex<()>>,
    silence: Mutex<Option<UnansweredCount>>,
}

/// Questions that were not answered, one after another.
#[derive(Debug, Clone, Copy)]
struct UnansweredCount {
    first: Instant,
    last: Instant,
}

impl std::fmt::Debug for MetadataProbe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("MetadataProbe").finish_non_exhaustive()
    }
}

impl MetadataProbe {
    /// A client; it connects when it is first asked something.
    pub(crate) fn new(settings: &ClientSettings) -> Result<Self, KafkaError> {
        let mut config = settings.base();
        // The end that functions can reach: what an open transaction wrote is beyond it.
        config.set("isolation.level", "read_committed");
        let client = BaseConsumer::from_config_and_context(&config, LoggingContext)?;
        Ok(Self(Arc::new(ProbeState {
            client,
            is_embedded: settings.is_embedded,
            turn: Arc::default(),
            silence: Mutex::default(),
        })))
    }

    /// Where `partitions` end now: one request to each of their leaders.
    pub(crate) async fn ends(&self, partitions: Vec<TopicPartition>) -> PartitionOffsets {
        self.offsets(partitions, Offset::End).await
    }

    /// The first offset of `partitions` that is still there.
    pub(crate) async fn beginnings(&self, partitions: Vec<TopicPartition>) -> PartitionOffsets {
        self.offsets(partitions, Offset::Beginning).await
    }

    /// What the topics with these names are; nothing where Kafka does not answer.
    pub(crate) async fn topics(&self, names: Vec<String>) -> Option<TopicLookups> {
        if names.is_empty() || self.0.is_embedded {
            return Some(TopicLookups::new());
        }
        self.ask(move |client| topic_ids::describe(client.client().native_client(), &names, PATIENCE)).await
    }

    async fn offsets(&self, partitions: Vec<TopicPartition>, edge: Offset) -> PartitionOffsets {
        if partitions.is_empty() {
            return PartitionOffsets::new();
        }
        self.ask(move |client| offsets(client, &partitions, edge)).await.unwrap_or_default()
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer<LoggingContext>) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        if self.is_left_alone() {
            return None;
        }
        let asked_at = Instant::now();
        let inner = self.0.clone();
        let asked = async move {
            let turn = inner.turn.clone().lock_owned().await;
            let answer = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                question(&inner.client)
            });
            answer.await.ok().flatten()
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await.ok().flatten();
        let mut silence = self.silence();
        *silence = match (&answer, *silence) {
            (Some(_), _) => None,
            (None, Some(UnansweredCount { first, .. })) => Some(UnansweredCount { first, last: Instant::now() }),
            (None, None) => Some(UnansweredCount { first: asked_at, last: Instant::now() }),
        };
        drop(silence);
        answer
    }

    /// For how long Kafka has answered nothing, when it did not answer the last question.
    pub(crate) fn silent_for(&self) -> Option<Duration> {
        self.silence().map(|silence| silence.first.elapsed())
    }

    fn is_left_alone(&self) -> bool {
        self.silence().is_some_and(|silence| silence.last.elapsed() < LEFT_ALONE_FOR)
    }

    fn silence(&self) -> parking_lot::MutexGuard<'_, Option<UnansweredCount>> {
        self.0.silence.lock()
    }
}

fn offsets(
    client: &BaseConsumer<LoggingContext>,
    partitions: &[TopicPartition],
    edge: Offset,
) -> Option<PartitionOffsets> {
    let deadline = Instant::now() + PATIENCE;
    match offsets_at_once(client, partitions, edge, PATIENCE) {
        Ok(offsets) => return Some(offsets),
        Err(error) => {
            tracing::debug!(%error, partitions = partitions.len(), "offsets of partitions are unknown");
            if is_silence(&error) {
                return None;
            }
        }
    }
    // One partition in trouble fails a whole question, such as one of a topic that was deleted a moment ago.
    let mut told = PartitionOffsets::new();
    for of_topic in partitions.chunk_by(|one, next| one.topic == next.topic) {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Ok(offsets) = offsets_at_once(client, of_topic, edge, left) {
            told.extend(offsets);
        }
    }
    // Even an answer that says nothing is one: Kafka is not away.
    Some(told)
}

fn is_silence(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut};
    matches!(error.rdkafka_error_code(), Some(OperationTimedOut | AllBrokersDown | BrokerTransportFailure))
}

/// Offsets by time, or of an edge; one request to each leader. What Kafka does not say is missing.
pub(crate) fn offsets_at_once(
    client: &BaseConsumer<LoggingContext>,
    partitions: &[TopicPartition],
    edge: Offset,
    longest: Duration,
) -> Result<PartitionOffsets, KafkaError> {
    let asked = partition_list::with_offsets(partitions.iter().map(|partition| (partition, edge)))?;
    let answer = client.offsets_for_times(asked, longest)?;
    let told = answer.elements().into_iter().filter_map(|element| match (element.error(), element.offset()) {
        (Ok(()), Offset::Offset(offset)) => Some((TopicPartition::new(element.topic(), element.partition()), offset)),
        _ => None,
    });
    Ok(told.collect())
}
