//! Reads the past of topics, without a group: single records, and what came from a moment on.
//!
//! A [`HistoryReader`] blocks and is used by one thread; it sees what committed transactions wrote, and changes nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::admin::AdminError;
use crate::kafka::admin::metadata_probe::offsets_at_once;
use crate::kafka::client_log::LoggingContext;
use crate::kafka::settings::ClientSettings;
use crate::model::position::TopicPartition;

/// The longest wait for an answer to one question.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens sessions. Clones are as good.
#[derive(Debug, Clone)]
pub(crate) struct TopicHistory(ClientSettings);

/// A client that reads the past.
pub(crate) struct HistoryReader {
    client: BaseConsumer<LoggingContext>,
    partitions: BTreeMap<String, i32>,
}

/// A record as it lies in Kafka.
pub(crate) struct PastRecord<'a>(BorrowedMessage<'a>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedRecord {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: i64,
    /// Milliseconds since the Unix epoch.
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    /// The value; none for a tombstone.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What is at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordLookup {
    Record(Box<OwnedRecord>),
    /// Nothing: it was deleted, or it never was one.
    Nothing,
    /// There is no such partition.
    NoPartition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetRange {
    pub(crate) partition: TopicPartition,
    pub(crate) from: i64,
    /// Up to before this one.
    pub(crate) until: i64,
}

/// How far a scan may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScanBounds {
    pub(crate) records: usize,
    pub(crate) deadline: Instant,
}

impl TopicHistory {
    /// The past of the cluster that `settings` name.
    pub(crate) fn new(settings: ClientSettings) -> Self {
        Self(settings)
    }

    /// Connects, and asks which topics there are. Blocks.
    pub(crate) fn open(&self) -> Result<HistoryReader, AdminError> {
        let mut config = self.0.base();
        config
            // librdkafka wants a name even from a reader that neither joins nor commits.
            .set("group.id", "millstream.history")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "20")
            .set("queued.max.messages.kbytes", "16384");
        let client =
            BaseConsumer::from_config_and_context(&config, LoggingContext).map_err(AdminError::Configuration)?;
        let metadata =
            client.fetch_metadata(None, PATIENCE).map_err(|error| AdminError::of(error, "list the topics"))?;
        let partitions = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none())
            .map(|topic| (topic.name().to_owned(), i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX)))
            .collect();
        Ok(HistoryReader { client, partitions })
    }
}

impl HistoryReader {
    /// The topics that there are, with their numbers of partitions.
    pub(crate) fn topics(&self) -> &BTreeMap<String, i32> {
        &self.partitions
    }

    /// The first offset of `partition` that is still there, and its end.
    pub(crate) fn edges(&self, partition: &TopicPartition) -> Result<(i64, i64), AdminError> {
        self.client
            .fetch_watermarks(&partition.topic, partition.partition, PATIENCE)
            .map_err(|error| AdminError::of(error, format!("read the offsets of {partition}")))
    }

    /// The record at `offset` of `partition`.
    pub(crate) fn record(&self, partition: &TopicPartition, offset: i64) -> Result<RecordLookup, AdminError> {
        let exists =
            self.partitions.get(&*partition.topic).is_some_and(|count| (0..*count).contains(&partition.partition));
        if !exists {
            return Ok(RecordLookup::NoPartition);
        }
        let (beginning, end) = self.edges(partition)?;
        if !(beginning..end).contains(&offset) {
            return Ok(RecordLookup::Nothing);
        }
        let range = OffsetRange { partition: partition.clone(), from: offset, until: offset + 1 };
        let mut found = RecordLookup::Nothing;
        let bounds = &mut ScanBounds { records: 1, deadline: Instant::now() + PATIENCE };
        let is_complete =
            self.scan(&[range], bounds, &mut |past| found = RecordLookup::Record(Box::new(past.keep())))?;
        if !is_complete && found == RecordLookup::Nothing {
            return Err(AdminError::Unreachable(RDKafkaErrorCode::OperationTimedOut));
        }
        Ok(found)
    }

    /// The first offsets of `partitions` whose records are as young as `unix_ms`, and where the partitions end;
    /// `unix_ms` is nothing for the beginning. What Kafka does not tell is missing.
    pub(crate) fn since(
        &self,
        partitions: &[TopicPartition],
        unix_ms: Option<i64>,
    ) -> Result<Vec<OffsetRange>, AdminError> {
        let from = match unix_ms {
            Some(unix_ms) => self.offsets(partitions, Offset::Offset(unix_ms.max(0)))?,
            None => self.offsets(partitions, Offset::Beginning)?,
        };
        let until = self.offsets(partitions, Offset::End)?;
        let range = |partition: &TopicPartition| {
            let until = *until.get(partition)?;
            // None as young: Kafka tells no offset then.
            let from = from.get(partition).copied().unwrap_or(until);
            Some(OffsetRange { partition: partition.clone(), from, until })
        };
        Ok(partitions.iter().filter_map(range).collect())
    }

    /// The first offset of each partition whose record is as young as `unix_ms`; none where there is no such record.
    pub(crate) fn offsets_at(
        &self,
        partitions: &[TopicPartition],
        unix_ms: i64,
    ) -> Result<BTreeMap<TopicPartition, i64>, AdminError> {
        self.offsets(partitions, Offset::Offset(unix_ms.max(0)))
    }

    fn offsets(
        &self,
        partitions: &[TopicPartition],
        what: Offset,
    ) -> Result<BTreeMap<TopicPartition, i64>, AdminError> {
        offsets_at_once(&self.client, partitions, what, PATIENCE)
            .map_err(|error| AdminError::of(error, "find offsets by time"))
    }

    /// Shows every record of `ranges` to `visit`, in order within a partition. Tells whether it came to their ends, and
    /// takes what it used off `bounds`.
    pub(crate) fn scan(
        &self,
        ranges: &[OffsetRange],
        bounds: &mut ScanBounds,
        visit: &mut dyn FnMut(&PastRecord<'_>),
    ) -> Result<bool, AdminError> {
        let mut left = UnreadRanges::default();
        let mut assignment = TopicPartitionList::new();
        for OffsetRange { partition, from, until } in ranges.iter().filter(|range| range.from < range.until) {
            assignment
                .add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*from))
                .map_err(unread)?;
            left.add(partition, *until);
        }
        if left.is_empty() {
            return Ok(true);
        }
        self.client.assign(&assignment).map_err(unread)?;
        let result = self.read(&mut left, bounds, visit);
        self.client.unassign().map_err(unread)?;
        result.map(|()| left.is_empty())
    }

    fn read(
        &self,
        left: &mut UnreadRanges,
        bounds: &mut ScanBounds,
        visit: &mut dyn FnMut(&PastRecord<'_>),
    ) -> Result<(), AdminError> {
        let mut last_heard = Instant::now();
        while !left.is_empty() && bounds.records > 0 {
            let patience = bounds.deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return Ok(());
            }
            let silent = last_heard.elapsed() > PATIENCE;
            match self.client.poll(patience.min(Duration::from_millis(500))) {
                None if silent => return Err(AdminError::Unreachable(RDKafkaErrorCode::OperationTimedOut)),
                None => {}
                Some(Err(KafkaError::PartitionEOF(number))) => {
                    last_heard = Instant::now();
                    if let Ok(positions) = self.client.position() {
                        left.ended(number, &positions);
                    }
                }
                Some(Err(error)) => {
                    let error = unread(error);
                    // Connections come and go; librdkafka connects again by itself.
                    if silent || !error.is_unreachable() {
                        return Err(error);
                    }
                }
                Some(Ok(message)) => {
                    last_heard = Instant::now();
                    if left.wants(message.topic(), message.partition(), message.offset()) {
                        bounds.records -= 1;
                        visit(&PastRecord(message));
                    }
                }
            }
        }
        Ok(())
    }
}

fn unread(error: KafkaError) -> AdminError {
    AdminError::of(error, "read topics")
}

/// What is still to be read.
#[derive(Default)]
struct UnreadRanges {
    /// Up to before which offset, by topic and partition.
    until: BTreeMap<(String, i32), i64>,
    /// How many topics are read of each partition's number, and how often such a one was at its end.
    ends: BTreeMap<i32, (usize, usize)>,
}

impl UnreadRanges {
    fn add(&mut self, partition: &TopicPartition, until: i64) {
        self.until.insert((partition.topic.to_string(), partition.partition), until);
        self.ends.entry(partition.partition).or_default().0 += 1;
    }

    fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    /// Whether the record at this place is wanted; notes that all before it were read.
    fn wants(&mut self, topic: &str, partition: i32, offset: i64) -> bool {
        let place = (topic.to_owned(), partition);
        let Some(until) = self.until.get(&place).copied() else { return false };
        if offset + 1 >= until {
            self.until.remove(&place);
        }
        offset < until
    }

    /// Some partition with this number has no more records for now. Which one is told by its position, but for one that
    /// had none at all.
    fn ended(&mut self, number: i32, positions: &TopicPartitionList) {
        let (topics, ends) = self.ends.entry(number).or_default();
        *ends += 1;
        let all_ended = ends >= topics;
        self.until.retain(|(topic, partition), until| {
            if *partition != number {
                return true;
            }
            match positions.find_partition(topic, number).map(|element| element.offset()) {
                Some(Offset::Offset(position)) => position < *until,
                _ => !all_ended,
            }
        });
    }
}

impl PastRecord<'_> {
    /// The value; none for a tombstone.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.0.headers().into_iter().flat_map(|headers| headers.iter().map(|header| (header.key, header.value)))
    }

    pub(crate) fn keep(&self) -> OwnedRecord {
        OwnedRecord {
            partition: TopicPartition::new(self.0.topic(), self.0.partition()),
            offset: self.0.offset(),
            timestamp_ms: self.0.timestamp().to_millis(),
            key: self.0.key().map(<[u8]>::to_vec),
            value: self.0.payload().map(<[u8]>::to_vec),
            headers: self.headers().map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))).collect(),
        }
    }
}
