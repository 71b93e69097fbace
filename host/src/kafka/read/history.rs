//! Looks things up in the past of topics: single records, and what was written from a moment on.
//!
//! A [`HistoryReader`] blocks and is used by one thread.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use crate::kafka::admin::AdminError;
use crate::kafka::read::topic_reader::{PartitionRange, PolledRecord, ReaderOptions, ScanError, ScanStep, TopicReader};
use crate::kafka::settings::ClientSettings;
use crate::model::position::TopicPartition;
use crate::model::record::PastRecord;

/// How long Kafka may give nothing although there is something to read.
const SILENCE: Duration = Duration::from_secs(10);

const OPTIONS: ReaderOptions =
    ReaderOptions { group: "millstream.history", latency: Duration::from_millis(20), ahead_kib: 16384 };

/// Opens readers; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TopicHistory(ClientSettings);

/// A client that reads the past.
pub(crate) struct HistoryReader {
    reader: TopicReader,
    topics: BTreeMap<String, i32>,
}

/// What is at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordLookup {
    Record(Box<PastRecord>),
    /// Nothing: it was deleted, or it never was one.
    Nothing,
    /// There is no such partition.
    NoPartition,
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
        let reader = TopicReader::open(&self.0, OPTIONS).map_err(AdminError::Configuration)?;
        let topics = reader.topics().map_err(|error| AdminError::of(error, "list the topics"))?;
        Ok(HistoryReader { reader, topics })
    }
}

impl HistoryReader {
    /// The topics that there are, with their numbers of partitions.
    pub(crate) fn topics(&self) -> &BTreeMap<String, i32> {
        &self.topics
    }

    /// The first offset of `partition` that is still there, and its end.
    pub(crate) fn edges(&self, partition: &TopicPartition) -> Result<(i64, i64), AdminError> {
        let failed = |error| AdminError::of(error, format!("read the offsets of {partition}"));
        self.reader.edges(partition).map_err(failed)
    }

    /// The record at `offset` of `partition`.
    pub(crate) fn record(&self, partition: &TopicPartition, offset: i64) -> Result<RecordLookup, AdminError> {
        let exists = self.topics.get(&*partition.topic).is_some_and(|count| (0..*count).contains(&partition.partition));
        if !exists {
            return Ok(RecordLookup::NoPartition);
        }
        let (beginning, end) = self.edges(partition)?;
        if !(beginning..end).contains(&offset) {
            return Ok(RecordLookup::Nothing);
        }
        let range = (partition.clone(), offset..offset + 1);
        let mut found = RecordLookup::Nothing;
        let bounds = &mut ScanBounds { records: 1, deadline: Instant::now() + SILENCE };
        let is_complete =
            self.scan(&[range], bounds, &mut |past| found = RecordLookup::Record(Box::new(past.detach())))?;
        if !is_complete && found == RecordLookup::Nothing {
            return Err(AdminError::Unreachable(RDKafkaErrorCode::OperationTimedOut));
        }
        Ok(found)
    }

    /// What was written to `partitions` since `unix_ms`, or since their beginnings. Partitions that Kafka does not answer for
    /// are missing.
    pub(crate) fn since(
        &self,
        partitions: &[TopicPartition],
        unix_ms: Option<i64>,
    ) -> Result<Vec<PartitionRange>, AdminError> {
        let from = match unix_ms {
            Some(unix_ms) => self.offsets_at(partitions, unix_ms)?,
            None => self.offsets(partitions, Offset::Beginning)?,
        };
        let until = self.offsets(partitions, Offset::End)?;
        let range = |partition: &TopicPartition| {
            let until = *until.get(partition)?;
            // Kafka gives no offset where no record is as young.
            let from = from.get(partition).copied().unwrap_or(until);
            Some((partition.clone(), from..until))
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
        self.reader.offsets(partitions, what).map_err(|error| AdminError::of(error, "find offsets by time"))
    }

    /// Shows every record of `ranges` to `visit`, in order within a partition. Returns whether it came to their ends, and
    /// takes what it used off `bounds`.
    pub(crate) fn scan(
        &self,
        ranges: &[PartitionRange],
        bounds: &mut ScanBounds,
        visit: &mut dyn FnMut(&PolledRecord<'_>),
    ) -> Result<bool, AdminError> {
        let ScanBounds { records, deadline } = bounds;
        let scanned = self.reader.scan(ranges, SILENCE, &mut |step| {
            if let ScanStep::Record(record) = step {
                if *records == 0 {
                    return ControlFlow::Break(());
                }
                *records -= 1;
                visit(record);
            }
            if *records == 0 || Instant::now() >= *deadline {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        scanned.map_err(|error| match error {
            ScanError::Kafka(error) => unread(error),
            ScanError::Silent => AdminError::Unreachable(RDKafkaErrorCode::OperationTimedOut),
        })
    }
}

fn unread(error: KafkaError) -> AdminError {
    AdminError::of(error, "read topics")
}
