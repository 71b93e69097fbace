//! Records with any bytes in the names of their headers, written and read through librdkafka: kcat and rdkafka take text alone.

#![allow(unsafe_code, reason = "rdkafka has no headers whose names are bytes")]
#![expect(clippy::disallowed_methods, reason = "topics have names of the tests")]

use std::ffi::CStr;
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings as ffi;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

/// A header's name and value.
pub type RawHeader = (Vec<u8>, Option<Vec<u8>>);

/// A record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers in order.
    pub headers: Vec<RawHeader>,
}

/// Writes one record, and waits until it is acknowledged.
#[track_caller]
pub fn produce(bootstrap: &str, topic: &str, key: &str, value: &[u8], headers: &[RawHeader]) {
    use ffi::rd_kafka_vtype_t as field;
    let mut config = ClientConfig::new();
    let producer: BaseProducer =
        config.set("bootstrap.servers", bootstrap).set("partitioner", "murmur2_random").create().expect("a producer");
    let topic = std::ffi::CString::new(topic).expect("a topic's name");
    // SAFETY: everything lives as long as the call, which copies the key and the value and takes the headers.
    let error = unsafe {
        let list = ffi::rd_kafka_headers_new(headers.len());
        for (name, value) in headers {
            let (start, length) = match value {
                Some(value) => (value.as_ptr().cast(), value.len() as isize),
                None => (ptr::null(), 0),
            };
            ffi::rd_kafka_header_add(list, name.as_ptr().cast(), name.len() as isize, start, length);
        }
        ffi::rd_kafka_producev(
            producer.client().native_ptr(),
            field::RD_KAFKA_VTYPE_TOPIC,
            topic.as_ptr(),
            field::RD_KAFKA_VTYPE_MSGFLAGS,
            ffi::RD_KAFKA_MSG_F_COPY,
            field::RD_KAFKA_VTYPE_KEY,
            key.as_ptr(),
            key.len(),
            field::RD_KAFKA_VTYPE_VALUE,
            value.as_ptr(),
            value.len(),
            field::RD_KAFKA_VTYPE_HEADERS,
            list,
            field::RD_KAFKA_VTYPE_END,
        )
    };
    assert_eq!(error, ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    producer.flush(Duration::from_secs(30)).expect("acknowledged");
}

/// Waits until there are `count` records in partition 0 of `topic`, and reads them.
#[track_caller]
pub fn read(bootstrap: &str, topic: &str, count: usize, longest: Duration) -> Vec<RawRecord> {
    let mut config = ClientConfig::new();
    let consumer: BaseConsumer = config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "millstream-tests-raw")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    let mut places = TopicPartitionList::new();
    places.add_partition_offset(topic, 0, Offset::Beginning).expect("a place");
    consumer.assign(&places).expect("assigned");
    let start = Instant::now();
    let mut records = Vec::new();
    while records.len() < count {
        assert!(start.elapsed() < longest, "{} of {count} records of {topic} after {longest:?}", records.len());
        // The topic may not be there yet.
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        records.push(RawRecord {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers(message.ptr()),
        });
    }
    records
}

fn headers(message: *const ffi::rd_kafka_message_t) -> Vec<RawHeader> {
    let mut headers = Vec::new();
    let mut list = ptr::null_mut();
    let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
    // SAFETY: the message is alive, and so are its headers.
    unsafe {
        let none = ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        if ffi::rd_kafka_message_headers(message, &raw mut list) != none {
            return headers;
        }
        while ffi::rd_kafka_header_get_all(list, headers.len(), &raw mut name, &raw mut value, &raw mut length) == none
        {
            let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), length).to_vec());
            headers.push((CStr::from_ptr(name).to_bytes().to_vec(), value));
        }
    }
    headers
}
