//! Gives messages to a producer: many at once where they have no headers, and without a copy of a header's name.

#![allow(
    unsafe_code,
    reason = "rdkafka takes messages one at a time, copies header names, and panics at one with a zero byte"
)]

use std::array;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use rdkafka::bindings as ffi;
use rdkafka::client::NativeClient;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::{RDKafkaHeaders, RDKafkaMessage, RDKafkaRespErr};
use rdkafka::util::IntoOpaque;

use crate::kafka::produce::producer::OutgoingMessage;
use crate::kafka::produce::topic_handle::TopicHandle;
use crate::model::parcel::{Parcel, ParcelMessage};
use crate::model::record::HeaderRef;

/// librdkafka's `RD_KAFKA_PARTITION_UA`: the partitioner chooses.
const UNASSIGNED: i32 = -1;

/// Messages that are given at once at the most.
const MOST_AT_ONCE: usize = 64;

/// Queues `message`, for `partition` or where its key says, with a producer whose delivery reports carry `opaque`, which
/// comes back when it is refused. Never waits.
pub(crate) fn queue<'a, O: IntoOpaque>(
    client: &NativeClient,
    message: OutgoingMessage<'_, impl Iterator<Item = HeaderRef<'a>>>,
    partition: Option<i32>,
    opaque: O,
) -> Result<(), (KafkaError, O)> {
    let opaque = opaque.into_ptr();
    let queued = TopicHandle::find(client, message.topic)
        .and_then(|topic| queue_one(client, &topic, message, partition, opaque));
    // SAFETY: librdkafka refused the message: the opaque came from `into_ptr`, and no one else has it.
    queued.map_err(|error| (error, unsafe { O::from_ptr(opaque) }))
}

/// What became of messages that were given together.
#[derive(Debug)]
pub(crate) struct EnqueueResult {
    /// How many are dealt with, from the first on: none while the client's queue is full.
    pub(crate) count: usize,
    /// Those among them that are not queued and need not be given again, by their place.
    pub(crate) refused: Vec<(usize, KafkaError)>,
}

impl EnqueueResult {
    fn all(count: usize) -> Self {
        Self { count, refused: Vec::new() }
    }
}

/// Gives messages of parcels to a client, and remembers the topic of the last one.
pub(crate) struct MessageEnqueuer<'c> {
    client: &'c NativeClient,
    last: Option<(Arc<str>, TopicHandle)>,
}

impl<'c> MessageEnqueuer<'c> {
    pub(crate) fn new(client: &'c NativeClient) -> Self {
        Self { client, last: None }
    }

    /// Queues the first of `messages`, which are `parcel`'s: as many as go at once, each where its key says. Delivery
    /// reports carry what `opaque` gives for a message's place among them. Never waits.
    pub(crate) fn queue_some(
        &mut self,
        parcel: &Parcel,
        messages: &[ParcelMessage],
        opaque: impl Fn(usize) -> *mut c_void,
    ) -> EnqueueResult {
        let Some(first) = messages.first() else { return EnqueueResult::all(0) };
        let client = self.client;
        let is_alike = |message: &&ParcelMessage| message.headers.is_empty() && message.topic == first.topic;
        let queued = match (self.topic(&first.topic), messages.iter().take(MOST_AT_ONCE).take_while(is_alike).count()) {
            (Ok(topic), 0) => queue_one(client, topic, OutgoingMessage::of(parcel, first), None, opaque(0)),
            (Ok(topic), alike) => return queue_plain(topic, parcel, &messages[..alike], opaque),
            (Err(error), _) => Err(error),
        };
        match queued {
            Ok(()) => EnqueueResult::all(1),
            Err(error) if is_queue_full(&error) => EnqueueResult::all(0),
            Err(error) => EnqueueResult { count: 1, refused: vec![(0, error)] },
        }
    }

    fn topic(&mut self, name: &Arc<str>) -> Result<&TopicHandle, KafkaError> {
        let known = self.last.take().filter(|(known, _)| known == name);
        let found = match known {
            Some(known) => known,
            None => (name.clone(), TopicHandle::find(self.client, name)?),
        };
        Ok(&self.last.insert(found).1)
    }
}

/// Queues up to [`MOST_AT_ONCE`] messages without headers.
fn queue_plain(
    topic: &TopicHandle,
    parcel: &Parcel,
    messages: &[ParcelMessage],
    opaque: impl Fn(usize) -> *mut c_void,
) -> EnqueueResult {
    let mut batch: [RDKafkaMessage; MOST_AT_ONCE] = array::from_fn(|place| match messages.get(place) {
        Some(message) => plain(parcel, message, opaque(place)),
        None => no_message(),
    });
    let batch = &mut batch[..messages.len().min(MOST_AT_ONCE)];
    // SAFETY: there are as many messages as is said. Keys and values are copied before it returns.
    let queued = unsafe {
        ffi::rd_kafka_produce_batch(
            topic.ptr(),
            UNASSIGNED,
            ffi::RD_KAFKA_MSG_F_COPY,
            batch.as_mut_ptr(),
            batch.len() as c_int,
        )
    };
    let mut dealt_with = EnqueueResult::all(batch.len());
    if usize::try_from(queued) == Ok(batch.len()) {
        return dealt_with;
    }
    for (place, message) in batch.iter().enumerate() {
        match message.err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {}
            // After it librdkafka queues none of the others either.
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__QUEUE_FULL => {
                dealt_with.count = place;
                break;
            }
            error => dealt_with.refused.push((place, KafkaError::MessageProduction(error.into()))),
        }
    }
    dealt_with
}

fn plain(parcel: &Parcel, message: &ParcelMessage, opaque: *mut c_void) -> RDKafkaMessage {
    let OutgoingMessage { key, value, .. } = OutgoingMessage::of(parcel, message);
    let (key, key_len) = parts(key);
    let (payload, len) = parts(value);
    RDKafkaMessage { payload, len, key, key_len, _private: opaque, ..no_message() }
}

fn no_message() -> RDKafkaMessage {
    RDKafkaMessage {
        err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: ptr::null_mut(),
        partition: UNASSIGNED,
        payload: ptr::null_mut(),
        len: 0,
        key: ptr::null_mut(),
        key_len: 0,
        offset: 0,
        _private: ptr::null_mut(),
    }
}

fn queue_one<'a>(
    client: &NativeClient,
    topic: &TopicHandle,
    message: OutgoingMessage<'_, impl Iterator<Item = HeaderRef<'a>>>,
    partition: Option<i32>,
    opaque: *mut c_void,
) -> Result<(), KafkaError> {
    use ffi::rd_kafka_vtype_t as field;
    let headers = headers(message.headers);
    let (key, key_length) = parts(message.key);
    let (value, value_length) = parts(message.value);
    // SAFETY: the client lives as long as the borrow. Each field is followed by what librdkafka reads for it, up to the end;
    // it copies the key and the value before it returns. The headers are its own if it takes the message, and only then.
    let error = unsafe {
        ffi::rd_kafka_producev(
            client.ptr(),
            field::RD_KAFKA_VTYPE_RKT,
            topic.ptr(),
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
    if !headers.is_null() {
        // SAFETY: librdkafka refused the message, so the headers are still ours.
        unsafe { ffi::rd_kafka_headers_destroy(headers) };
    }
    Err(KafkaError::MessageProduction(error.into()))
}

/// Whether the message is to be given again soon.
pub(crate) fn is_queue_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
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
