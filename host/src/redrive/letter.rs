//! A dead letter, read back: its record, and why it was dead-lettered.

use crate::model::ids::FunctionName;
use crate::model::position::TopicPartition;
use crate::model::record::{OwnedHeader, PastRecord, header_refs};
use crate::model::record_id::RecordId;
use crate::model::stamp::{self, DeadLetterStamp, RecordStamp};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: i64,
    /// When it was written: milliseconds since the Unix epoch.
    pub(crate) written_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    /// Whether the value is not here, because it was too large.
    pub(crate) is_truncated: bool,
    /// The record's headers, without those that the letter adds.
    pub(crate) headers: Vec<OwnedHeader>,
    pub(crate) source: LetterSource,
    /// The class of the fault.
    pub(crate) class: String,
    pub(crate) message: String,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// `name@revision` of what gave it up.
    pub(crate) function: String,
    /// The dead letter that was handled again and became this one.
    pub(crate) redriven: Option<RecordId>,
}

/// Where the record of a dead letter lay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LetterSource {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: i64,
    /// Milliseconds since the Unix epoch.
    pub(crate) timestamp_ms: Option<i64>,
}

impl DeadLetter {
    /// Reads a record of a dead letter topic. Nothing when it belongs to another function: functions may
    /// share the topic.
    pub(crate) fn read(record: PastRecord, function: &FunctionName) -> Option<Self> {
        let PastRecord { partition, offset, timestamp_ms, key, value, headers } = record;
        let RecordStamp { dead_letter, redriven, is_truncated, .. } =
            RecordStamp::read(header_refs(&headers), value.as_deref());
        let DeadLetterStamp { class, message, attempts, function: by, record, timestamp_ms: record_ms } = dead_letter?;
        if stamp::function_of(&by) != Some(function.as_str()) {
            return None;
        }
        Some(Self {
            partition,
            offset,
            written_ms: timestamp_ms,
            key,
            value,
            is_truncated,
            source: LetterSource { partition: record.partition, offset: record.offset, timestamp_ms: record_ms },
            class,
            message,
            attempts,
            function: by,
            redriven,
            headers: headers.into_iter().filter(|(name, _)| !stamp::is_of_dead_letter(name)).collect(),
        })
    }

    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.partition, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(headers: &[(&str, &str)]) -> PastRecord {
        let owned = headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())));
        PastRecord {
            partition: TopicPartition::new("mill.dead", 1),
            offset: 5,
            timestamp_ms: Some(99),
            key: Some(b"k".to_vec()),
            value: Some(b"v".to_vec()),
            headers: owned.chain([(b"colo\xfb".to_vec(), None)]).collect(),
        }
    }

    const HEADERS: &[(&str, &str)] = &[
        ("color", "red"),
        ("color", "blue"),
        ("millstream-error-class", "trap"),
        ("millstream-error-message", "told to panic"),
        ("millstream-attempts", "3"),
        ("millstream-function", "mill@4"),
        ("millstream-topic", "bids"),
        ("millstream-partition", "2"),
        ("millstream-offset", "7"),
        ("millstream-timestamp", ""),
    ];

    #[test]
    fn a_letter_is_its_record_and_why() {
        let mill = FunctionName::new("mill").unwrap();
        let letter = DeadLetter::read(record(HEADERS), &mill).unwrap();
        let names: Vec<_> = letter.headers.iter().map(|(name, _)| name.as_slice()).collect();
        assert_eq!(names, [&b"color"[..], b"color", b"colo\xfb"], "the record's own");
        assert_eq!(
            (letter.place().as_str(), letter.function.as_str(), letter.attempts),
            ("mill.dead/1/5", "mill@4", 3)
        );
        let source = &letter.source;
        assert_eq!((source.partition.to_string().as_str(), source.offset, source.timestamp_ms), ("bids/2", 7, None));
        assert!(!letter.is_truncated && letter.redriven.is_none());

        let cut =
            [HEADERS, &[("millstream-value-truncated", "true"), ("millstream-redriven", "mill.dead/0/1")]].concat();
        let letter = DeadLetter::read(record(&cut), &mill).unwrap();
        assert!(letter.is_truncated);
        assert_eq!(letter.redriven, Some(RecordId::new("mill.dead", 0, 1)));
    }

    #[test]
    fn what_is_no_letter_of_the_function_is_passed_over() {
        let read =
            |headers: &[(&str, &str)], name: &str| DeadLetter::read(record(headers), &FunctionName::new(name).unwrap());
        assert!(read(HEADERS, "mil").is_none() && read(HEADERS, "other").is_none());
        assert!(read(&HEADERS[..7], "mill").is_none(), "it does not say where its record lay");
        assert!(read(&[], "mill").is_none());
    }
}
