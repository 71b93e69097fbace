//! Gives a message to a producer, without a copy of its own of anything but the topic's name.

#![allow(unsafe_code, reason = "rdkafka copies the name of each header, and panics at one with a zero byte")]

use std::ffi::{CString, c_void};
use std::ptr;

use rdkafka::bindings as ffi;
use rdkafka::client::NativeClient;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::{RDKafkaHeaders, RDKafkaRespErr};
use rdkafka::util::IntoOpaque;

use super::producer::Outgoing;
use super::record_queue::HeaderRef;

/// librdkafka's `RD_KAFKA_PARTITION_UA`: the partitioner chooses.
const UNASSIGNED: i32 = -1;

/// Queues `message`, for `partition` or where its key says, with a producer whose delivery reports carry `opaque`, which
/// comes back when it is refused. Never waits.
pub(super) fn queue<'a, O: IntoOpaque>(
    client: &NativeClient,
    message: Outgoing<'_, impl Iterator<Item = HeaderRef<'a>>>,
    partition: Option<i32>,
    opaque: O,
) -> Result<(), (KafkaError, O)> {
    use ffi::rd_kafka_vtype_t as field;
    let Ok(topic) = CString::new(message.topic) else {
        return Err((KafkaError::MessageProduction(RDKafkaErrorCode::InvalidTopic), opaque));
    };
    let headers = headers(message.headers);
    let (key, key_length) = parts(message.key);
    let (value, value_length) = parts(message.value);
    let opaque = opaque.into_ptr();
    // SAFETY: the client lives as long as the borrow. Each field is followed by what librdkafka reads for it, up to the end;
    // it copies the name, the key and the value before it returns. The headers are its own if it takes the message, and
    // only then.
    let error = unsafe {
        ffi::rd_kafka_producev(
            client.ptr(),
            field::RD_KAFKA_VTYPE_TOPIC,
            topic.as_ptr(),
            field::RD_KAFKA_VTYPE_PARTITION,
            partition.unwrap_or(UNASSIGNED),
            field::RD_KAFKA_VTYPE_MSGFLAGS,
            ffi::RD_KAFKA_MSG_F_COPY,
            field::RD_KAFKA_VTYPE_VALUE,
            value,
            value_length,
            field::RD_KAFKA_VTYPE_KEY,
            key,
            key_length,
            field::RD_KAFKA_VTYPE_OPAQUE,
            opaque,
            field::RD_KAFKA_VTYPE_HEADERS,
            headers,
            field::RD_KAFKA_VTYPE_END,
        )
    };
    if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    // SAFETY: librdkafka refused the message: the headers are still ours, and so is the opaque, which nobody else has.
    let opaque = unsafe {
        if !headers.is_null() {
            ffi::rd_kafka_headers_destroy(headers);
        }
        O::from_ptr(opaque)
    };
    Err((KafkaError::MessageProduction(error.into()), opaque))
}

/// A list of headers that is not handed over yet; null where there are none.
fn headers<'a>(headers: impl Iterator<Item = HeaderRef<'a>>) -> *mut RDKafkaHeaders {
    /// More than most messages have: the list grows where it must.
    const USUAL: usize = 12;
    let mut list: *mut RDKafkaHeaders = ptr::null_mut();
    for (name, value) in headers {
        let (value, length) = parts(value);
        // SAFETY: the list was made here. Name and value are copied; they are given with their lengths.
        unsafe {
            if list.is_null() {
                list = ffi::rd_kafka_headers_new(USUAL);
            }
            ffi::rd_kafka_header_add(list, name.as_ptr().cast(), name.len() as isize, value, length as isize);
        }
    }
    list
}

fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()))
}
