//! Reads fixed parts of partitions, for those who look at the past: no group, nothing committed.
//!
//! A thread of its own reads ahead a little, as far as whoever asked takes what it gives, and ends when nobody does any more.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use crate::kafka::admin::metadata_probe::{PartitionOffsets, offsets_at_once};
use crate::kafka::client_log::LoggingContext;
use crate::kafka::group::record_queue::HeaderNameNotText;
use crate::kafka::settings::ClientSettings;
use crate::model::position::TopicPartition;

/// Portions that are read ahead.
const AHEAD: usize = 4;
/// A portion has at most so many records and, but for the last one, bytes.
const PORTION: (usize, usize) = (500, 1 << 20);
/// How long Kafka may be silent although there is something to read.
const SILENCE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_millis(100);
/// How long the answer to a question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A part of a partition: offsets from the first to before the second.
pub(crate) type PartitionRange = (TopicPartition, Range<i64>);

/// A header's name and value.
pub(crate) type HeaderBytes = (String, Option<Vec<u8>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PastRecord {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: i64,
    /// Milliseconds since the Unix epoch.
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    /// The value; none for a tombstone.
    pub(crate) value: Option<Vec<u8>>,
    /// All headers in order, where their names can be read.
    pub(crate) headers: Result<Vec<HeaderBytes>, HeaderNameNotText>,
}

/// Why the past could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("cannot read {what}: {source}")]
    Kafka {
        /// What was to be read.
        what: String,
        source: KafkaError,
    },
    #[error("cannot read {what}: Kafka gives nothing; check that the brokers are well")]
    Silent {
        /// What was to be read.
        what: String,
    },
    #[error("the host stopped before it was read")]
    Interrupted,
}

/// The records of `parts`, at most one of each partition, in portions: topic after topic, within a partition in order. A
/// portion is never empty, and after an error nothing more comes.
pub(crate) fn read(
    settings: &ClientSettings,
    parts: Vec<PartitionRange>,
) -> mpsc::Receiver<Result<Vec<PastRecord>, ReadError>> {
    RangeReader::new(settings.clone()).read(parts)
}

/// Reads parts again and again with one client, which connects when it is first used.
#[derive(Clone)]
pub(crate) struct RangeReader {
    settings: ClientSettings,
    client: Arc<Mutex<Option<RangeClient>>>,
    /// One reading at a time: whoever stops taking what it gives is not waited for by it.
    turn: Arc<Mutex<()>>,
}

type RangeClient = Arc<BaseConsumer<LoggingContext>>;
type ReadPortions = mpsc::Sender<Result<Vec<PastRecord>, ReadError>>;

impl RangeReader {
    /// A reader of the cluster that `settings` name.
    pub(crate) fn new(settings: ClientSettings) -> Self {
        Self { settings, client: Arc::default(), turn: Arc::default() }
    }

    pub(crate) fn read(&self, parts: Vec<PartitionRange>) -> mpsc::Receiver<Result<Vec<PastRecord>, ReadError>> {
        let (give, portions) = mpsc::channel(AHEAD);
        let mut parts: Vec<PartitionRange> = parts.into_iter().filter(|(_, offsets)| !offsets.is_empty()).collect();
        parts.sort_by(|(one, _), (other, _)| one.cmp(other));
        if !parts.is_empty() {
            let this = self.clone();
            tokio::task::spawn_blocking(move || {
                let _turn = this.turn.lock();
                // One topic after the other: of an end the client tells the partition's number alone.
                for of_topic in parts.chunk_by(|(one, _), (next, _)| one.topic == next.topic) {
                    if let Err(error) = this.read_topic(of_topic, &give) {
                        // Nobody may be left to be told.
                        let _ = give.blocking_send(Err(error));
                        return;
                    }
                }
            });
        }
        portions
    }

    /// Where `partitions` end: what an open transaction wrote is beyond it.
    pub(crate) async fn ends(&self, partitions: Vec<TopicPartition>) -> Result<PartitionOffsets, ReadError> {
        let this = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let failed = |source| ReadError::Kafka { what: "the ends of topics".to_owned(), source };
            let client = this.client().map_err(failed)?;
            offsets_at_once(&client, &partitions, Offset::End, ANSWER_TIMEOUT).map_err(failed)
        });
        asked.await.unwrap_or(Err(ReadError::Interrupted))
    }

    fn client(&self) -> Result<RangeClient, KafkaError> {
        let mut client = self.client.lock();
        match &*client {
            Some(client) => Ok(client.clone()),
            None => Ok(client.insert(Arc::new(open(&self.settings)?)).clone()),
        }
    }

    fn read_topic(&self, parts: &[PartitionRange], give: &ReadPortions) -> Result<(), ReadError> {
        let names: Vec<String> = parts.iter().take(3).map(|(partition, _)| partition.to_string()).collect();
        let more = if parts.len() > names.len() { " and more" } else { "" };
        let what = format!("{}{more}", names.join(", "));
        let failed = |source| ReadError::Kafka { what: what.clone(), source };
        let client = self.client().map_err(failed)?;
        let mut assignment = TopicPartitionList::with_capacity(parts.len());
        for (partition, offsets) in parts {
            let start = Offset::Offset(offsets.start);
            assignment.add_partition_offset(&partition.topic, partition.partition, start).map_err(failed)?;
        }
        client.assign(&assignment).map_err(failed)?;
        let result = take(&client, parts, &what, give);
        // The client would remember what was paused, and give nothing of it the next time.
        if let Err(error) = client.resume(&assignment).and_then(|()| client.unassign()) {
            tracing::debug!(%error, %what, "what was read is still fetched");
        }
        result
    }
}

fn take(
    client: &BaseConsumer<LoggingContext>,
    parts: &[PartitionRange],
    what: &str,
    give: &ReadPortions,
) -> Result<(), ReadError> {
    let mut left: HashMap<i32, (&TopicPartition, i64)> =
        parts.iter().map(|(partition, offsets)| (partition.partition, (partition, offsets.end))).collect();
    let mut portion = ReadPortion::default();
    let mut heard = Instant::now();
    while !left.is_empty() && !give.is_closed() {
        match client.poll(PATIENCE) {
            None => {
                if heard.elapsed() >= SILENCE {
                    return Err(ReadError::Silent { what: what.to_owned() });
                }
                if portion.flush(give).is_err() {
                    return Ok(());
                }
                continue;
            }
            Some(Err(KafkaError::PartitionEOF(number))) => {
                left.remove(&number);
            }
            Some(Err(source)) if is_fatal(&source) => {
                return Err(ReadError::Kafka { what: what.to_owned(), source });
            }
            Some(Err(error)) => {
                tracing::debug!(%error, %what, "reading the past");
                continue;
            }
            Some(Ok(message)) => {
                let Some((partition, end)) = left.get(&message.partition()).copied() else { continue };
                let offset = message.offset();
                if offset < end && portion.add(partition.clone(), &message, give).is_err() {
                    return Ok(());
                }
                if offset + 1 >= end {
                    leave(client, partition);
                    left.remove(&message.partition());
                }
            }
        }
        heard = Instant::now();
    }
    // Whoever asked may have gone.
    let _ = portion.flush(give);
    Ok(())
}

fn open(settings: &ClientSettings) -> Result<BaseConsumer<LoggingContext>, KafkaError> {
    let mut config = settings.base();
    config
        // librdkafka wants a name even from a reader that neither joins nor commits.
        .set("group.id", "millstream.past")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        // What retention removed meanwhile is gone.
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "50")
        .set("queued.max.messages.kbytes", "16384");
    BaseConsumer::from_config_and_context(&config, LoggingContext)
}

fn is_fatal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::Fatal
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
        )
    )
}

/// What comes after its part is not to be fetched.
fn leave(consumer: &BaseConsumer<LoggingContext>, partition: &TopicPartition) {
    let mut list = TopicPartitionList::new();
    list.add_partition(&partition.topic, partition.partition);
    if let Err(error) = consumer.pause(&list) {
        tracing::debug!(%error, %partition, "a partition that was read is still fetched");
    }
}

fn headers(message: &BorrowedMessage<'_>) -> Result<Vec<HeaderBytes>, HeaderNameNotText> {
    let Some(headers) = message.headers() else { return Ok(Vec::new()) };
    let each = || headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect();
    // rdkafka unwraps the conversion of a name to text.
    catch_unwind(AssertUnwindSafe(each)).map_err(|_| HeaderNameNotText)
}

#[derive(Default)]
struct ReadPortion {
    records: Vec<PastRecord>,
    bytes: usize,
}

struct NobodyListens;

impl ReadPortion {
    fn add(
        &mut self,
        partition: TopicPartition,
        message: &BorrowedMessage<'_>,
        give: &ReadPortions,
    ) -> Result<(), NobodyListens> {
        let record = PastRecord {
            partition,
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers(message),
        };
        self.bytes += record.value.as_ref().map_or(0, Vec::len) + record.key.as_ref().map_or(0, Vec::len);
        self.records.push(record);
        match self.records.len() >= PORTION.0 || self.bytes >= PORTION.1 {
            true => self.flush(give),
            false => Ok(()),
        }
    }

    fn flush(&mut self, give: &ReadPortions) -> Result<(), NobodyListens> {
        let Self { records, .. } = std::mem::take(self);
        match records.is_empty() {
            true => Ok(()),
            false => give.blocking_send(Ok(records)).map_err(|_| NobodyListens),
        }
    }
}
