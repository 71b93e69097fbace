//! What tells a topic from another one that had its name before. A consumer that is not told goes on in the new topic at
//! the old one's offset, and skips what lies below without a word (tried on Kafka 4.1).

#![allow(unsafe_code, reason = "rdkafka describes no topics; its library does")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::client::NativeClient;

/// The identity that Kafka gave a topic when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicId(i64, i64);

/// The identities of those of `topics` that exist, as far as the cluster tells them. Blocks up to `patience`.
pub(super) fn topic_ids(client: &NativeClient, topics: &[&str], patience: Duration) -> BTreeMap<String, TopicId> {
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(*topic).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let patience_ms = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    let mut found = BTreeMap::new();
    if pointers.is_empty() {
        return found;
    }
    // SAFETY: the client and the names live as long as their borrows. Collection, options, queue and event are this
    // function's own and destroyed once, the queue after the event that came from it; options are checked not to be null,
    // or else the library uses its own. What the event holds is read before it is destroyed.
    unsafe {
        let collection = ffi::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let options =
            ffi::rd_kafka_AdminOptions_new(client.ptr(), ffi::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        if !options.is_null() {
            ffi::rd_kafka_AdminOptions_set_request_timeout(options, patience_ms, std::ptr::null_mut(), 0);
        }
        let queue = ffi::rd_kafka_queue_new(client.ptr());
        ffi::rd_kafka_DescribeTopics(client.ptr(), collection, options, queue);
        let event = ffi::rd_kafka_queue_poll(queue, patience_ms);
        if !event.is_null() {
            read(event, &mut found);
            ffi::rd_kafka_event_destroy(event);
        }
        ffi::rd_kafka_queue_destroy(queue);
        if !options.is_null() {
            ffi::rd_kafka_AdminOptions_destroy(options);
        }
        ffi::rd_kafka_TopicCollection_destroy(collection);
    }
    found
}

/// Reads the topics of an event.
///
/// # Safety
///
/// `event` is a live event of the library.
unsafe fn read(event: *mut ffi::rd_kafka_event_t, found: &mut BTreeMap<String, TopicId>) {
    // SAFETY: the result and all in it belong to the live event; the library gives as many topics as it says, and null
    // for another kind of event.
    unsafe {
        let result = ffi::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return;
        }
        let mut count = 0;
        let topics = ffi::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        for index in 0..count {
            let topic = *topics.add(index);
            let id = ffi::rd_kafka_TopicDescription_topic_id(topic);
            let name = ffi::rd_kafka_TopicDescription_name(topic);
            if id.is_null() || name.is_null() {
                continue;
            }
            let id =
                TopicId(ffi::rd_kafka_Uuid_most_significant_bits(id), ffi::rd_kafka_Uuid_least_significant_bits(id));
            // A broker that knows no identities, or not this topic, says zero.
            if id != TopicId(0, 0) {
                found.insert(CStr::from_ptr(name).to_string_lossy().into_owned(), id);
            }
        }
    }
}
