//! The one client that reads topics outside of any group: it joins nothing and commits nothing. The other files of this
//! folder, and the reader of logs, say what is read with it.
//!
//! A [`TopicReader`] blocks. It sees what committed transactions wrote.

#![allow(unsafe_code, reason = "rdkafka's own way to read headers and topics of records panics")]

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use rdkafka::bindings as ffi;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::admin::metadata_probe::{PartitionOffsets, offsets_at_once};
use crate::kafka::client_log::LoggingContext;
use crate::kafka::partition_list;
use crate::kafka::raw_headers::RawHeaders;
use crate::kafka::settings::ClientSettings;
use crate::model::position::TopicPartition;
use crate::model::record::{HeaderRef, PastRecord};

/// How long the answer to a question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait for a record before the reader looks whether it is still wanted.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// A part of a partition: offsets from the first to before the second.
pub(crate) type PartitionRange = (TopicPartition, Range<i64>);

/// What differs between readers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReaderOptions {
    /// librdkafka wants the name of a group even from a reader that neither joins nor commits.
    pub(crate) group: &'static str,
    /// How long a broker may hold back an answer while there is nothing new.
    pub(crate) latency: Duration,
    /// How much is fetched ahead, in KiB.
    pub(crate) ahead_kib: u32,
}

pub(crate) struct TopicReader {
    client: BaseConsumer<LoggingContext>,
}

/// What a poll gives.
pub(crate) enum PolledStep<'a> {
    Record(PolledRecord<'a>),
    /// Everything was read of some partition with this number. Of which topic, librdkafka does not say.
    End(i32),
    /// Nothing came in the time given.
    Quiet,
}

/// A record in the memory of the client.
pub(crate) struct PolledRecord<'a>(BorrowedMessage<'a>);

/// What a scan meets.
pub(crate) enum ScanStep<'a> {
    Record(&'a PolledRecord<'a>),
    /// Nothing new for a moment.
    Quiet,
}

/// Why a scan ended early.
#[derive(Debug)]
pub(crate) enum ScanError {
    Kafka(KafkaError),
    /// Kafka gave nothing for too long.
    Silent,
}

impl From<KafkaError> for ScanError {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

impl TopicReader {
    /// A client, which connects when it is first used.
    pub(crate) fn open(settings: &ClientSettings, options: ReaderOptions) -> Result<Self, KafkaError> {
        let mut config = settings.base();
        config
            .set("group.id", options.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            // What retention removed meanwhile is gone.
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", options.latency.as_millis().to_string())
            .set("queued.max.messages.kbytes", options.ahead_kib.to_string());
        Ok(Self { client: BaseConsumer::from_config_and_context(&config, LoggingContext)? })
    }

    /// The topics that there are, with their numbers of partitions.
    pub(crate) fn topics(&self) -> Result<BTreeMap<String, i32>, KafkaError> {
        let metadata = self.client.fetch_metadata(None, ANSWER_TIMEOUT)?;
        let existing = metadata.topics().iter().filter(|topic| topic.error().is_none());
        Ok(existing.map(|topic| (topic.name().to_owned(), count(topic.partitions().len()))).collect())
    }

    /// How many partitions `topic` has; 0 when it does not exist.
    pub(crate) fn partitions(&self, topic: &str) -> Result<i32, KafkaError> {
        let metadata = self.client.fetch_metadata(Some(topic), ANSWER_TIMEOUT)?;
        Ok(count(metadata.topics().first().map_or(0, |topic| topic.partitions().len())))
    }

    /// The first offset of `partition` that is still there, and its end.
    pub(crate) fn edges(&self, partition: &TopicPartition) -> Result<(i64, i64), KafkaError> {
        self.client.fetch_watermarks(&partition.topic, partition.partition, ANSWER_TIMEOUT)
    }

    /// Offsets by time, or of an edge. What Kafka does not answer is missing.
    pub(crate) fn offsets(&self, partitions: &[TopicPartition], what: Offset) -> Result<PartitionOffsets, KafkaError> {
        offsets_at_once(&self.client, partitions, what, ANSWER_TIMEOUT)
    }

    /// Also reads partitions, each from `start` on.
    pub(crate) fn follow(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
        start: Offset,
    ) -> Result<(), KafkaError> {
        let partitions: Vec<TopicPartition> = partitions.into_iter().collect();
        let starts = partitions.iter().map(|partition| (partition, start));
        self.client.incremental_assign(&partition_list::with_offsets(starts)?)
    }

    /// The next thing that happens to the partitions that are followed. After an error the reader still reads.
    pub(crate) fn next(&self, patience: Duration) -> Result<PolledStep<'_>, KafkaError> {
        match self.client.poll(patience) {
            None => Ok(PolledStep::Quiet),
            Some(Err(KafkaError::PartitionEOF(number))) => Ok(PolledStep::End(number)),
            Some(Err(error)) => Err(error),
            Some(Ok(message)) => Ok(PolledStep::Record(PolledRecord(message))),
        }
    }

    /// Shows every record of `ranges` to `visit`, in order within a partition, until it breaks. Returns whether all ranges
    /// were read to their ends. `silence` is how long Kafka may give nothing although there is something to read.
    pub(crate) fn scan(
        &self,
        ranges: &[PartitionRange],
        silence: Duration,
        visit: &mut dyn FnMut(ScanStep<'_>) -> ControlFlow<()>,
    ) -> Result<bool, ScanError> {
        let mut unread = UnreadRanges::default();
        let ranges = ranges.iter().filter(|(_, offsets)| !offsets.is_empty());
        let starts = ranges.clone().map(|(partition, offsets)| (partition, Offset::Offset(offsets.start)));
        let assignment = partition_list::with_offsets(starts)?;
        ranges.for_each(|(partition, offsets)| unread.add(partition, offsets.end));
        if unread.is_empty() {
            return Ok(true);
        }
        self.client.assign(&assignment)?;
        let result = self.read(&mut unread, silence, visit);
        // The client would remember what was paused, and give nothing of it the next time.
        if let Err(error) = self.client.resume(&assignment).and_then(|()| self.client.unassign()) {
            tracing::debug!(%error, "partitions that were read are still fetched");
        }
        result.map(|()| unread.is_empty())
    }

    fn read(
        &self,
        unread: &mut UnreadRanges,
        silence: Duration,
        visit: &mut dyn FnMut(ScanStep<'_>) -> ControlFlow<()>,
    ) -> Result<(), ScanError> {
        let mut last_heard = Instant::now();
        while !unread.is_empty() {
            let is_silent = last_heard.elapsed() >= silence;
            let next = match self.next(POLL_TIMEOUT) {
                Ok(PolledStep::Quiet) if is_silent => return Err(ScanError::Silent),
                Ok(PolledStep::Quiet) => visit(ScanStep::Quiet),
                Ok(PolledStep::End(number)) => {
                    last_heard = Instant::now();
                    if let Ok(positions) = self.client.position() {
                        unread.ended(number, &positions);
                    }
                    ControlFlow::Continue(())
                }
                // Connections come and go; librdkafka connects again by itself.
                Err(error) if is_transient(&error) && !is_silent => {
                    tracing::debug!(%error, "reading the past of topics");
                    visit(ScanStep::Quiet)
                }
                Err(error) => return Err(error.into()),
                Ok(PolledStep::Record(record)) => {
                    last_heard = Instant::now();
                    let TakenOffset { is_within, is_end } =
                        unread.take(record.topic(), record.partition(), record.offset());
                    if is_end && !unread.is_empty() {
                        self.leave(&record);
                    }
                    if is_within { visit(ScanStep::Record(&record)) } else { ControlFlow::Continue(()) }
                }
            };
            if next.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What comes after a range need not be fetched.
    fn leave(&self, record: &PolledRecord<'_>) {
        let partition = TopicPartition::new(record.topic(), record.partition());
        if let Err(error) = partition_list::of([&partition]).and_then(|list| self.client.pause(&list)) {
            tracing::debug!(%error, topic = record.topic(), "a partition that was read is still fetched");
        }
    }
}

fn count(partitions: usize) -> i32 {
    i32::try_from(partitions).unwrap_or(i32::MAX)
}

/// Whether librdkafka may still read on by itself.
fn is_transient(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    !matches!(
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

impl PolledRecord<'_> {
    /// The topic's name; Kafka's are ASCII.
    pub(crate) fn topic(&self) -> &str {
        // SAFETY: the topic lives as long as the message, and its name ends with a zero byte.
        unsafe { CStr::from_ptr(ffi::rd_kafka_topic_name(self.0.topic_ptr())) }.to_str().unwrap_or_default()
    }

    pub(crate) fn partition(&self) -> i32 {
        self.0.partition()
    }

    pub(crate) fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn timestamp_ms(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    /// The value; none for a tombstone.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = HeaderRef<'_>> {
        // SAFETY: the message lives as long as the borrow.
        unsafe { RawHeaders::of(self.0.ptr()) }
    }

    /// A copy that outlives the client.
    pub(crate) fn detach(&self) -> PastRecord {
        let headers = self.headers().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)));
        PastRecord {
            partition: TopicPartition::new(self.topic(), self.partition()),
            offset: self.offset(),
            timestamp_ms: self.timestamp_ms(),
            key: self.0.key().map(<[u8]>::to_vec),
            value: self.value().map(<[u8]>::to_vec),
            headers: headers.collect(),
        }
    }
}

/// What is still to be read.
#[derive(Default)]
struct UnreadRanges {
    /// Up to before which offset, by topic and partition.
    until: BTreeMap<String, BTreeMap<i32, i64>>,
    /// How many topics are read of each partition's number, and how often such a one was at its end.
    ends: BTreeMap<i32, (usize, usize)>,
}

/// What a record means for the range that it lies in, or behind.
#[derive(Debug, PartialEq, Eq)]
struct TakenOffset {
    is_within: bool,
    /// Whether nothing of the range is left to read from now on.
    is_end: bool,
}

impl UnreadRanges {
    fn add(&mut self, partition: &TopicPartition, until: i64) {
        self.until.entry(partition.topic.to_string()).or_default().insert(partition.partition, until);
        self.ends.entry(partition.partition).or_default().0 += 1;
    }

    fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    /// Notes that a record came, and so that all before it were read.
    fn take(&mut self, topic: &str, partition: i32, offset: i64) -> TakenOffset {
        let place = self.until.get_mut(topic).and_then(|partitions| Some((*partitions.get(&partition)?, partitions)));
        let Some((until, partitions)) = place else { return TakenOffset { is_within: false, is_end: false } };
        // Compaction may have removed the last records of a range: then the first one behind it says so.
        let is_end = offset + 1 >= until;
        if is_end {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.until.remove(topic);
            }
        }
        TakenOffset { is_within: offset < until, is_end }
    }

    /// Some partition with this number has no more records for now. Its position says which one, but for one that had none
    /// at all.
    fn ended(&mut self, number: i32, positions: &TopicPartitionList) {
        let (topics, ends) = self.ends.entry(number).or_default();
        *ends += 1;
        let all_ended = ends >= topics;
        self.until.retain(|topic, partitions| {
            partitions.retain(|partition, until| {
                if *partition != number {
                    return true;
                }
                match partition_list::find(positions, topic, number).map(|element| element.offset()) {
                    Some(Offset::Offset(position)) => position < *until,
                    _ => !all_ended,
                }
            });
            !partitions.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_when_its_last_record_or_one_behind_it_came() {
        let mut unread = UnreadRanges::default();
        unread.add(&TopicPartition::new("a", 0), 3);
        unread.add(&TopicPartition::new("a", 1), 3);
        unread.add(&TopicPartition::new("b", 0), 3);
        let mut take = |topic, partition, offset| {
            let TakenOffset { is_within, is_end } = unread.take(topic, partition, offset);
            (is_within, is_end)
        };
        assert_eq!(take("a", 0, 1), (true, false));
        assert_eq!(take("a", 0, 2), (true, true));
        assert_eq!(take("a", 0, 3), (false, false), "it is not read any more");
        assert_eq!(take("a", 1, 7), (false, true), "its end was compacted away");
        assert_eq!(take("c", 0, 0), (false, false));
        assert!(!unread.is_empty());
        let mut positions = TopicPartitionList::new();
        partition_list::push(&mut positions, "b", 0, Offset::Offset(2)).unwrap();
        unread.ended(0, &positions);
        assert!(!unread.is_empty(), "another topic's partition 0 ended");
        let mut positions = TopicPartitionList::new();
        partition_list::push(&mut positions, "b", 0, Offset::Offset(3)).unwrap();
        unread.ended(0, &positions);
        assert!(unread.is_empty());
    }
}
