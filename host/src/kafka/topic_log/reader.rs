//! Reads a log. It belongs to no group: hosts do not share the work of reading the registry, each reads all of it.

use std::time::{Duration, Instant};

use rdkafka::Offset;

use crate::kafka::read::topic_reader::{PolledStep, ReaderOptions, TopicReader};
use crate::kafka::settings::ClientSettings;
use crate::kafka::topic_log::{PARTITION, TopicLogError};
use crate::model::position::TopicPartition;
use crate::model::record::PastRecord;

const ACTION: &str = "read";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogItem {
    Record(PastRecord),
    /// Everything that was committed has been read.
    End,
    /// Nothing new in the time given.
    Quiet,
}

/// A reader of one log.
pub(crate) struct LogReader {
    reader: TopicReader,
    topic: String,
}

impl LogReader {
    /// Starts at `offset`; at the first record that is left when that one is gone. `latency` is how long a broker may
    /// hold back an answer while there is nothing new.
    pub(crate) fn open(
        settings: &ClientSettings,
        topic: &str,
        offset: i64,
        latency: Duration,
    ) -> Result<Self, TopicLogError> {
        let options = ReaderOptions { group: "millstream.registry.reader", latency, ahead_kib: 4096 };
        let opened = TopicReader::open(settings, options).and_then(|reader| {
            reader.follow([TopicPartition::new(topic, PARTITION)], Offset::Offset(offset))?;
            Ok(Self { reader, topic: topic.to_owned() })
        });
        opened.map_err(|error| TopicLogError::of(error, ACTION, topic))
    }

    /// Waits up to `patience`. After an error the reader still reads, unless the topic is gone.
    pub(crate) fn next(&self, patience: Duration) -> Result<LogItem, TopicLogError> {
        match self.reader.next(patience) {
            Ok(PolledStep::Quiet) => Ok(LogItem::Quiet),
            Ok(PolledStep::End(_)) => Ok(LogItem::End),
            Ok(PolledStep::Record(record)) => Ok(LogItem::Record(record.detach())),
            Err(error) => Err(TopicLogError::of(error, ACTION, &self.topic)),
        }
    }

    /// The next record before `deadline`, or nothing at the log's end.
    pub(crate) fn next_before(&self, deadline: Instant) -> Result<Option<PastRecord>, TopicLogError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.next(left)? {
                LogItem::Record(record) => return Ok(Some(record)),
                LogItem::End => return Ok(None),
                LogItem::Quiet if Instant::now() >= deadline => {
                    return Err(TopicLogError::TimedOut { action: ACTION, topic: self.topic.clone() });
                }
                LogItem::Quiet => {}
            }
        }
    }
}
