//! Lists of partitions, as librdkafka takes and gives them. rdkafka 0.39.0 panics at a topic's name with a zero byte, and at
//! metadata that is not UTF-8, which other programs may commit: a list is made and searched here alone.

#![allow(unsafe_code, reason = "rdkafka's own way to read metadata panics")]
#![expect(clippy::disallowed_methods, reason = "names are checked here first")]

use std::ffi::CString;

use rdkafka::bindings as ffi;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use crate::model::position::TopicPartition;

/// Partitions without offsets.
pub(crate) fn of<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> Result<TopicPartitionList, KafkaError> {
    with_offsets(partitions.into_iter().map(|partition| (partition, Offset::Invalid)))
}

pub(crate) fn with_offsets<'a>(
    places: impl IntoIterator<Item = (&'a TopicPartition, Offset)>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in places {
        push(&mut list, &partition.topic, partition.partition, offset)?;
    }
    Ok(list)
}

/// Offsets to commit, each with what is stored beside it.
pub(crate) fn with_metadata<'a>(
    places: impl IntoIterator<Item = (&'a TopicPartition, i64, &'a str)>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset, metadata) in places {
        check(&partition.topic)?;
        let mut element = list.add_partition(&partition.topic, partition.partition);
        element.set_offset(Offset::Offset(offset))?;
        if !metadata.is_empty() {
            element.set_metadata(metadata);
        }
    }
    Ok(list)
}

pub(crate) fn push(
    list: &mut TopicPartitionList,
    topic: &str,
    partition: i32,
    offset: Offset,
) -> Result<(), KafkaError> {
    check(topic)?;
    list.add_partition_offset(topic, partition, offset)
}

pub(crate) fn find<'l>(
    list: &'l TopicPartitionList,
    topic: &str,
    partition: i32,
) -> Option<TopicPartitionListElem<'l>> {
    check(topic).ok()?;
    list.find_partition(topic, partition)
}

/// What is stored beside the offset of a partition; empty where there is nothing.
pub(crate) fn metadata(list: &TopicPartitionList, topic: &str, partition: i32) -> String {
    let Ok(topic) = CString::new(topic) else { return String::new() };
    // SAFETY: the list lives as long as the borrow, and an element's metadata as long as the list.
    let metadata = unsafe {
        let element = ffi::rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), partition);
        if element.is_null() || (*element).metadata.is_null() {
            return String::new();
        }
        std::slice::from_raw_parts((*element).metadata.cast::<u8>(), (*element).metadata_size)
    };
    String::from_utf8_lossy(metadata).into_owned()
}

fn check(topic: &str) -> Result<(), KafkaError> {
    CString::new(topic).map(drop).map_err(KafkaError::Nul)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_none_is_an_error() {
        let wrong = TopicPartition::new("a\0b", 0);
        assert!(of([&wrong]).is_err() && with_metadata([(&wrong, 1, "")]).is_err());
        assert!(find(&TopicPartitionList::new(), "a\0b", 0).is_none());
        assert_eq!(metadata(&TopicPartitionList::new(), "a\0b", 0), "");
    }

    #[test]
    fn metadata_is_read_whatever_its_bytes_are() {
        let partition = TopicPartition::new("a", 0);
        let list = with_metadata([(&partition, 1, "abc")]).unwrap();
        assert_eq!(metadata(&list, "a", 0), "abc");
        assert_eq!(metadata(&list, "a", 1), "");
        // SAFETY: the element is the list's, and its metadata are three bytes that nothing else refers to.
        unsafe {
            let element = ffi::rd_kafka_topic_partition_list_find(list.ptr(), c"a".as_ptr(), 0);
            *(*element).metadata.cast::<u8>() = 0xff;
        }
        assert_eq!(metadata(&list, "a", 0), "\u{fffd}bc");
    }
}
