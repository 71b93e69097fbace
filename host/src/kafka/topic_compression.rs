//! Compression by topic within one client. librdkafka keeps the settings with which a topic's name was first used.

#![allow(unsafe_code, reason = "rdkafka offers no settings by topic; its library does")]

use std::ffi::CString;

use rdkafka::bindings as ffi;
use rdkafka::client::NativeClient;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::producer::codec;
use crate::model::function::Compression;

/// How what is written to a topic is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicCompression {
    /// The topic.
    pub topic: String,
    /// Its compression.
    pub compression: Compression,
}

/// Topics whose settings a client keeps while this lives. Drop it before the client.
pub(super) struct Kept(Vec<*mut ffi::rd_kafka_topic_t>);

// SAFETY: librdkafka's handles may be used and given back on any thread.
unsafe impl Send for Kept {}
// SAFETY: nothing is done with the handles but giving them back.
unsafe impl Sync for Kept {}

impl Drop for Kept {
    fn drop(&mut self) {
        for handle in self.0.drain(..) {
            // SAFETY: each handle came from `rd_kafka_topic_new` and is given back once, before its client ends.
            unsafe { ffi::rd_kafka_topic_destroy(handle) }
        }
    }
}

/// Makes `client` compress so. Call it before the first message.
pub(super) fn apply(client: &NativeClient, compressions: &[TopicCompression]) -> Result<Kept, KafkaError> {
    let mut kept = Kept(Vec::with_capacity(compressions.len()));
    for one in compressions {
        kept.0.push(open(client, one)?);
    }
    Ok(kept)
}

fn open(client: &NativeClient, one: &TopicCompression) -> Result<*mut ffi::rd_kafka_topic_t, KafkaError> {
    let invalid = || KafkaError::Global(RDKafkaErrorCode::InvalidArgument);
    let topic = CString::new(one.topic.as_str()).map_err(|_| invalid())?;
    let value = CString::new(codec(one.compression)).map_err(|_| invalid())?;
    let mut reason = [0; 512];
    // SAFETY: all pointers are to live C strings, to a buffer of the given length, or to what librdkafka just gave. The
    // settings are freed here or by `rd_kafka_topic_new`, which takes them also when it fails.
    unsafe {
        let settings = ffi::rd_kafka_default_topic_conf_dup(client.ptr());
        let (name, room) = (c"compression.codec".as_ptr(), reason.len());
        let set = ffi::rd_kafka_topic_conf_set(settings, name, value.as_ptr(), reason.as_mut_ptr(), room);
        if set != ffi::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
            ffi::rd_kafka_topic_conf_destroy(settings);
            return Err(invalid());
        }
        let handle = ffi::rd_kafka_topic_new(client.ptr(), topic.as_ptr(), settings);
        match handle.is_null() {
            true => Err(KafkaError::Global(ffi::rd_kafka_last_error().into())),
            false => Ok(handle),
        }
    }
}
