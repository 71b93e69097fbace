//! The headers of a message, read from librdkafka itself: rdkafka 0.39.0 panics at a name that is not UTF-8
//! (`BorrowedHeaders`, src/message.rs:284), and Kafka allows any bytes.
//!
//! One limit is librdkafka's (2.12.1): it gives a name as a C string, so that one with a zero byte ends there.

#![allow(unsafe_code, reason = "rdkafka's own way to read headers panics")]

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use rdkafka::bindings as ffi;
use rdkafka::types::{RDKafkaHeaders, RDKafkaMessage, RDKafkaRespErr};

use crate::model::record::HeaderRef;

/// The headers of a message, in order.
pub(crate) struct RawHeaders<'a> {
    /// Null where the message has none.
    list: *const RDKafkaHeaders,
    next: usize,
    message: PhantomData<&'a RDKafkaMessage>,
}

impl RawHeaders<'_> {
    /// # Safety
    ///
    /// The message must live as long as the headers are used.
    pub(crate) unsafe fn of(message: *const RDKafkaMessage) -> Self {
        let mut list = ptr::null_mut();
        // SAFETY: the caller's; the list is the message's.
        let error = unsafe { ffi::rd_kafka_message_headers(message, &raw mut list) };
        let has_headers = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        Self { list: if has_headers { list } else { ptr::null_mut() }, next: 0, message: PhantomData }
    }
}

impl<'a> Iterator for RawHeaders<'a> {
    type Item = HeaderRef<'a>;

    fn next(&mut self) -> Option<HeaderRef<'a>> {
        if self.list.is_null() {
            return None;
        }
        let (mut name, mut value, mut length): (*const c_char, *const c_void, usize) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list lives as long as the message, and so do the name, which ends with a zero byte, and the value of the
        // header that is there.
        unsafe {
            let error =
                ffi::rd_kafka_header_get_all(self.list, self.next, &raw mut name, &raw mut value, &raw mut length);
            if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            self.next += 1;
            Some((CStr::from_ptr(name).to_bytes(), bytes(value, length)))
        }
    }
}

/// # Safety
///
/// There must be `length` bytes at `start`, unless that is null, and they must live as long as `'a`.
pub(crate) unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's.
    NonNull::new(start.cast_mut().cast::<u8>())
        .map(|start| unsafe { std::slice::from_raw_parts(start.as_ptr(), length) })
}
