//! The place of a record, as a text.

use std::fmt;
use std::str::FromStr;

use crate::model::position::TopicPartition;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RecordId {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: i64,
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not the place of a record: write TOPIC/PARTITION/OFFSET, such as bids/0/42")]
pub(crate) struct InvalidPlace(String);

impl RecordId {
    /// The place of the record at `offset` of partition `partition` of `topic`.
    pub(crate) fn new(topic: &str, partition: i32, offset: i64) -> Self {
        Self { partition: TopicPartition::new(topic, partition), offset }
    }
}

impl FromStr for RecordId {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let mut parts = text.rsplitn(3, '/');
        let offset = parts.next().and_then(|part| part.parse().ok()).filter(|offset: &i64| *offset >= 0);
        let partition = parts.next().and_then(|part| part.parse().ok()).filter(|partition: &i32| *partition >= 0);
        let topic = parts.next().filter(|topic| !topic.is_empty() && !topic.contains('/'));
        match (topic, partition, offset) {
            (Some(topic), Some(partition), Some(offset)) => Ok(Self::new(topic, partition, offset)),
            _ => Err(InvalidPlace(text.chars().take(300).collect())),
        }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.partition, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_texts() {
        let place: RecordId = "bids.accepted/3/42".parse().unwrap();
        assert_eq!(place, RecordId::new("bids.accepted", 3, 42));
        assert_eq!(place.to_string(), "bids.accepted/3/42");
        for wrong in ["", "bids", "bids/0", "bids/0/", "bids/-1/0", "bids/0/-1", "/0/0", "a/b/0/0", "bids/0/x"] {
            assert!(wrong.parse::<RecordId>().is_err(), "{wrong}");
        }
    }
}
