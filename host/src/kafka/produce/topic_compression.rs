//! Compression by topic within one client. librdkafka keeps the settings with which a topic's name was first used.

#![allow(unsafe_code, reason = "rdkafka offers no settings by topic; its library does")]

use std::ffi::CString;

use rdkafka::bindings as ffi;
use rdkafka::client::NativeClient;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::produce::producer::codec;
use crate::kafka::produce::topic_handle::TopicHandle;
use crate::model::function::Compression;

/// How what is written to a topic is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicCompression {
    pub(crate) topic: String,
    pub(crate) compression: Compression,
}

/// Topics whose settings a client keeps while this lives. Drop it before the client.
pub(crate) struct TopicHandles(#[expect(dead_code, reason = "they are held, not used")] Vec<TopicHandle>);

/// Makes `client` compress so. Call it before the first message.
pub(crate) fn apply(client: &NativeClient, compressions: &[TopicCompression]) -> Result<TopicHandles, KafkaError> {
    compressions.iter().map(|one| open(client, one)).collect::<Result<_, _>>().map(TopicHandles)
}

fn open(client: &NativeClient, one: &TopicCompression) -> Result<TopicHandle, KafkaError> {
    let invalid = || KafkaError::Global(RDKafkaErrorCode::InvalidArgument);
    let value = CString::new(codec(one.compression)).map_err(|_| invalid())?;
    let mut reason = [0; 512];
    // SAFETY: all pointers are to live C strings, to a buffer of the given length, or to what librdkafka just gave. The
    // settings are freed here or by the handle.
    unsafe {
        let settings = ffi::rd_kafka_default_topic_conf_dup(client.ptr());
        let (name, room) = (c"compression.codec".as_ptr(), reason.len());
        let set = ffi::rd_kafka_topic_conf_set(settings, name, value.as_ptr(), reason.as_mut_ptr(), room);
        if set != ffi::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
            ffi::rd_kafka_topic_conf_destroy(settings);
            return Err(invalid());
        }
        TopicHandle::open(client, &one.topic, settings)
    }
}
