//! Reads fixed parts of partitions, in portions.
//!
//! A thread of its own reads ahead a little, as far as the receiver takes what it gives, and ends when the receiver is gone.

use parking_lot::Mutex;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc;

use crate::kafka::admin::metadata_probe::PartitionOffsets;
use crate::kafka::read::topic_reader::{ReaderOptions, ScanError, ScanStep, TopicReader};
use crate::kafka::settings::ClientSettings;
use crate::model::position::TopicPartition;
use crate::model::record::PastRecord;

pub(crate) use crate::kafka::read::topic_reader::PartitionRange;

/// Portions that are read ahead.
const AHEAD: usize = 4;
/// A portion has at most so many records and, but for the last one, bytes.
const PORTION: (usize, usize) = (500, 1 << 20);
/// How long Kafka may be silent although there is something to read.
const SILENCE: Duration = Duration::from_secs(30);

const OPTIONS: ReaderOptions =
    ReaderOptions { group: "millstream.past", latency: Duration::from_millis(50), ahead_kib: 16384 };

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
    client: Arc<Mutex<Option<Arc<TopicReader>>>>,
    /// One reading at a time: a receiver that does not take what it is given holds up no other one.
    turn: Arc<Mutex<()>>,
}

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
                for of_topic in parts.chunk_by(|(one, _), (next, _)| one.topic == next.topic) {
                    if let Err(error) = this.read_topic(of_topic, &give) {
                        // The receiver may be gone.
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
            this.client().and_then(|client| client.offsets(&partitions, Offset::End)).map_err(failed)
        });
        asked.await.unwrap_or(Err(ReadError::Interrupted))
    }

    fn client(&self) -> Result<Arc<TopicReader>, KafkaError> {
        let mut client = self.client.lock();
        match &*client {
            Some(client) => Ok(client.clone()),
            None => Ok(client.insert(Arc::new(TopicReader::open(&self.settings, OPTIONS)?)).clone()),
        }
    }

    fn read_topic(&self, parts: &[PartitionRange], give: &ReadPortions) -> Result<(), ReadError> {
        let mut portion = ReadPortion::default();
        let mut visit = |step: ScanStep<'_>| {
            if give.is_closed() {
                return ControlFlow::Break(());
            }
            match step {
                ScanStep::Record(record) => portion.add(record.detach(), give),
                ScanStep::Quiet => portion.flush(give),
            }
        };
        let scanned = match self.client() {
            Ok(client) => client.scan(parts, SILENCE, &mut visit),
            Err(error) => Err(error.into()),
        };
        // Of what was read before an error the receiver takes what it has room for.
        let _ = portion.flush(give);
        scanned.map(drop).map_err(|error| {
            let names: Vec<String> = parts.iter().take(3).map(|(partition, _)| partition.to_string()).collect();
            let more = if parts.len() > names.len() { " and more" } else { "" };
            let what = format!("{}{more}", names.join(", "));
            match error {
                ScanError::Kafka(source) => ReadError::Kafka { what, source },
                ScanError::Silent => ReadError::Silent { what },
            }
        })
    }
}

#[derive(Default)]
struct ReadPortion {
    records: Vec<PastRecord>,
    bytes: usize,
}

impl ReadPortion {
    fn add(&mut self, record: PastRecord, give: &ReadPortions) -> ControlFlow<()> {
        let bytes_of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = record.headers.iter().map(|(name, value)| name.len() + bytes_of(value)).sum();
        self.bytes += bytes_of(&record.value) + bytes_of(&record.key) + headers;
        self.records.push(record);
        if self.records.len() >= PORTION.0 || self.bytes >= PORTION.1 {
            return self.flush(give);
        }
        ControlFlow::Continue(())
    }

    /// Breaks when the receiver is gone.
    fn flush(&mut self, give: &ReadPortions) -> ControlFlow<()> {
        let Self { records, .. } = std::mem::take(self);
        if !records.is_empty() && give.blocking_send(Ok(records)).is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
