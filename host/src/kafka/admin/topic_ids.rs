//! What a cluster's topics are, by their identities.

#![allow(unsafe_code, reason = "rdkafka does not wrap DescribeTopics; its library has it")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::client::NativeClient;
use rdkafka::types::RDKafkaRespErr;

use crate::model::topic_id::TopicId;

/// What a cluster says of a topic's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicLookup {
    /// There is such a topic.
    Topic(TopicId),
    Missing,
}

/// Topics by name; what the cluster does not say is missing.
pub(crate) type TopicLookups = BTreeMap<String, TopicLookup>;

/// Asks for `names`, without creating any. Nothing when there is no answer within `longest`.
pub(crate) fn describe(client: &NativeClient, names: &[String], longest: Duration) -> Option<TopicLookups> {
    // A topic's name has no zero byte; one that had is not a topic's.
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(name.as_str()).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let longest = c_int::try_from(longest.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the client lives as long as the borrow, and the names as long as this call; the library copies them. Each
    // object that is made here is destroyed once, after its last use: what the event holds is copied before.
    unsafe {
        let queue = ffi::rd_kafka_queue_new(client.ptr());
        let options =
            ffi::rd_kafka_AdminOptions_new(client.ptr(), ffi::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        ffi::rd_kafka_AdminOptions_set_request_timeout(options, longest, std::ptr::null_mut(), 0);
        let asked = ffi::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        ffi::rd_kafka_DescribeTopics(client.ptr(), asked, options, queue);
        ffi::rd_kafka_TopicCollection_destroy(asked);
        ffi::rd_kafka_AdminOptions_destroy(options);
        let event = ffi::rd_kafka_queue_poll(queue, longest);
        let topics = if event.is_null() { None } else { read(event) };
        if !event.is_null() {
            ffi::rd_kafka_event_destroy(event);
        }
        ffi::rd_kafka_queue_destroy(queue);
        topics
    }
}

/// # Safety
///
/// `event` must be an event that is not destroyed yet.
unsafe fn read(event: *mut ffi::rd_kafka_event_t) -> Option<TopicLookups> {
    // SAFETY: all that is read belongs to the event, which the caller keeps; the library gives `count` descriptions.
    unsafe {
        let result = ffi::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() || ffi::rd_kafka_event_error(event) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let mut count = 0;
        let described = ffi::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let mut topics = TopicLookups::new();
        for index in 0..count {
            let topic = *described.add(index);
            let name = CStr::from_ptr(ffi::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
            let id = ffi::rd_kafka_TopicDescription_topic_id(topic);
            match ffi::rd_kafka_error_code(ffi::rd_kafka_TopicDescription_error(topic)) {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => {
                    topics.insert(name, TopicLookup::Missing);
                }
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR if !id.is_null() => {
                    let halves =
                        [ffi::rd_kafka_Uuid_most_significant_bits(id), ffi::rd_kafka_Uuid_least_significant_bits(id)];
                    if let Some(id) = topic_id(halves) {
                        topics.insert(name, TopicLookup::Topic(id));
                    }
                }
                // Such as a right that is missing: nothing is known.
                _ => {}
            }
        }
        Some(topics)
    }
}

fn topic_id([most, least]: [i64; 2]) -> Option<TopicId> {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&most.to_be_bytes());
    bytes[8..].copy_from_slice(&least.to_be_bytes());
    TopicId::new(bytes)
}
