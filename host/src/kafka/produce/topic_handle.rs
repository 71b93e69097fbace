//! A topic as a client of librdkafka's knows it.

#![allow(unsafe_code, reason = "rdkafka offers no handles of topics; its library does")]

use std::ffi::CString;
use std::ptr::{self, NonNull};

use rdkafka::bindings as ffi;
use rdkafka::client::NativeClient;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A handle, given back when it is dropped. Drop it before the client; messages that were queued with it keep the topic for
/// themselves.
pub(crate) struct TopicHandle(NonNull<ffi::rd_kafka_topic_t>);

// SAFETY: librdkafka's handles may be used and given back on any thread.
unsafe impl Send for TopicHandle {}
// SAFETY: librdkafka locks what it has of a topic itself.
unsafe impl Sync for TopicHandle {}

impl TopicHandle {
    /// The topic `name` with the client's settings, or those with which it was first used.
    pub(crate) fn find(client: &NativeClient, name: &str) -> Result<Self, KafkaError> {
        // SAFETY: no settings are given.
        unsafe { Self::open(client, name, ptr::null_mut()) }
    }

    /// The topic `name` with `settings`, unless it was used before.
    ///
    /// # Safety
    ///
    /// `settings` came from librdkafka or are null. They are freed here, also after a failure.
    pub(crate) unsafe fn open(
        client: &NativeClient,
        name: &str,
        settings: *mut ffi::rd_kafka_topic_conf_t,
    ) -> Result<Self, KafkaError> {
        let Ok(name) = CString::new(name) else {
            if !settings.is_null() {
                // SAFETY: no one else has them.
                unsafe { ffi::rd_kafka_topic_conf_destroy(settings) };
            }
            return Err(KafkaError::MessageProduction(RDKafkaErrorCode::InvalidTopic));
        };
        // SAFETY: the client lives as long as the borrow; the name ends with a zero byte and is copied. The settings are freed
        // by it, also when it fails.
        let topic = unsafe { ffi::rd_kafka_topic_new(client.ptr(), name.as_ptr(), settings) };
        // SAFETY: it reads what the call before left for this thread.
        let error = || KafkaError::MessageProduction(unsafe { ffi::rd_kafka_last_error() }.into());
        NonNull::new(topic).map(Self).ok_or_else(error)
    }

    pub(crate) fn ptr(&self) -> *mut ffi::rd_kafka_topic_t {
        self.0.as_ptr()
    }
}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        // SAFETY: it came from `rd_kafka_topic_new`, and is given back once.
        unsafe { ffi::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}
