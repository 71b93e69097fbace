//! The records of a consumer, in a queue of their own, from which many are taken at once.
//!
//! librdkafka would put them into the consumer's one queue, from which an application that takes events gets a record at a
//! time: each costs several looks at the clock and an event.
//! See docs/decisions/0014-records-have-a-queue-of-their-own.md.
//!
//! One trap: librdkafka 2.12.1 counts a failure that is given here as if it were the record at its offset, and after a
//! pause, its own in a rebalance included, continues behind it. So ends of partitions must not be asked for
//! (`enable.partition.eof`), and after another failure nothing of the partition may be taken before it is reassigned.

#![allow(unsafe_code, reason = "rdkafka takes records one at a time; its library takes many")]

use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::bindings as ffi;
use rdkafka::client::NativeClient;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::{RDKafka, RDKafkaMessage, RDKafkaQueue, RDKafkaRespErr};

use crate::kafka::group::consumer::ConsumerError;
use crate::kafka::group::poller::PollerUnparker;
use crate::kafka::raw_headers::{RawHeaders, bytes};
use crate::model::position::TopicPartition;
use crate::model::record::RecordHeaders;

/// Records that are taken at once at the most.
const MOST_AT_ONCE: usize = 64;

pub(crate) enum PolledItem<'q> {
    Record(RawRecord<'q>),
    /// What came in the place of a record, and what is to be known of it.
    Failure(RawRecord<'q>, Option<ConsumerError>),
}

/// The partition of a record, to be compared with that of another one while both are assigned: cheaper than names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartitionKey {
    /// Where the client has what it knows of the topic.
    topic: usize,
    partition: i32,
}

/// See the module. Dropped before its client.
pub(crate) struct RecordQueue {
    queue: NonNull<RDKafkaQueue>,
    /// librdkafka uses it on its own threads, until the callback is removed.
    news: Arc<QueueReadiness>,
}

struct QueueReadiness {
    waker: PollerUnparker,
    /// Whether something came since the last look, be it records or not.
    came: AtomicBool,
}

// SAFETY: a queue of librdkafka may be used by any thread; it locks itself. So does the waker.
unsafe impl Send for RecordQueue {}
// SAFETY: see above.
unsafe impl Sync for RecordQueue {}

impl RecordQueue {
    /// A queue of `client` that wakes `waker` when it has something.
    pub(crate) fn new(client: &NativeClient, waker: PollerUnparker) -> Self {
        // SAFETY: the client lives as long as the borrow. The function has no failure.
        let queue = unsafe { NonNull::new_unchecked(ffi::rd_kafka_queue_new(client.ptr())) };
        let news = Arc::new(QueueReadiness { waker, came: AtomicBool::new(false) });
        let told = Arc::as_ptr(&news).cast_mut().cast();
        // SAFETY: the queue was just made. The news live until `drop` has made librdkafka forget them.
        unsafe { ffi::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(wake), told) };
        Self { queue, news }
    }

    /// From now on the records of `partition` come here. To be called before the partition is assigned; what is assigned later
    /// changes nothing about it.
    pub(crate) fn gather(&self, client: &NativeClient, partition: &TopicPartition) -> Result<(), KafkaError> {
        let no_topic = || KafkaError::Global(RDKafkaErrorCode::InvalidTopic);
        let topic = CString::new(&*partition.topic).map_err(|_| no_topic())?;
        // SAFETY: the client lives as long as the borrow, the name as long as the call, which copies it. What is given is a
        // handle, destroyed once; the queue itself is the partition's.
        unsafe {
            let queue = ffi::rd_kafka_queue_get_partition(client.ptr(), topic.as_ptr(), partition.partition);
            let queue = NonNull::new(queue).ok_or_else(no_topic)?;
            ffi::rd_kafka_queue_forward(queue.as_ptr(), self.queue.as_ptr());
            ffi::rd_kafka_queue_destroy(queue.as_ptr());
        }
        Ok(())
    }

    /// Whether something came since the last time, control records among it.
    pub(crate) fn has_news(&self) -> bool {
        self.news.came.swap(false, Ordering::AcqRel)
    }

    /// Takes what there is, up to [`MOST_AT_ONCE`], without waiting. What librdkafka has to say besides, `heard` receives.
    pub(crate) fn take<'q>(&'q self, heard: &'q dyn ErrorSink) -> RawRecords<'q> {
        let mut messages = [ptr::null_mut(); MOST_AT_ONCE];
        // SAFETY: there is room for as many messages. The queue lives until it is dropped.
        let taken =
            unsafe { ffi::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, messages.as_mut_ptr(), MOST_AT_ONCE) };
        // A negative number is a failure, which a queue of a consumer does not have.
        RawRecords { messages, next: 0, end: usize::try_from(taken).unwrap_or(0), heard }
    }
}

impl Drop for RecordQueue {
    fn drop(&mut self) {
        // SAFETY: librdkafka calls back under the queue's lock, which the first call takes: after it no one uses the news
        // any more. What a partition still forwards here is thrown away.
        unsafe {
            ffi::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            ffi::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// Called by librdkafka when a queue that was empty is not any more.
unsafe extern "C" fn wake(_: *mut RDKafka, news: *mut c_void) {
    // SAFETY: see `RecordQueue::new`.
    let news = unsafe { &*news.cast::<QueueReadiness>() };
    news.came.store(true, Ordering::Release);
    news.waker.wake();
}

/// What was taken at once, in order.
pub(crate) struct RawRecords<'q> {
    messages: [*mut RDKafkaMessage; MOST_AT_ONCE],
    next: usize,
    end: usize,
    heard: &'q dyn ErrorSink,
}

/// Who receives an error that came in the place of a record, with librdkafka's words for it.
pub(crate) trait ErrorSink {
    /// Gives what the one who takes records should know.
    fn heard(&self, error: &KafkaError, words: &str) -> Option<ConsumerError>;
}

impl RawRecords<'_> {
    /// Whether nothing is left of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.end
    }

    fn next_message<'a>(&mut self) -> Option<RawRecord<'a>> {
        if self.is_empty() {
            return None;
        }
        self.next += 1;
        let message = NonNull::new(self.messages[self.next - 1])?;
        Some(RawRecord { message, queue: PhantomData })
    }
}

impl<'q> Iterator for RawRecords<'q> {
    type Item = PolledItem<'q>;

    fn next(&mut self) -> Option<PolledItem<'q>> {
        let message = self.next_message()?;
        Some(match message.error() {
            None => PolledItem::Record(message),
            Some(code) => {
                let trouble = self.heard.heard(&KafkaError::MessageConsumption(code), &message.reason());
                PolledItem::Failure(message, trouble)
            }
        })
    }
}

impl Drop for RawRecords<'_> {
    fn drop(&mut self) {
        while self.next_message().is_some() {}
    }
}

/// A record as Kafka gives it, in the memory of the client.
pub(crate) struct RawRecord<'q> {
    message: NonNull<RDKafkaMessage>,
    queue: PhantomData<&'q RecordQueue>,
}

impl Drop for RawRecord<'_> {
    fn drop(&mut self) {
        // SAFETY: the message is this record's alone, and the client outlives the queue that the record borrows.
        unsafe { ffi::rd_kafka_message_destroy(self.message.as_ptr()) };
    }
}

impl RawRecord<'_> {
    fn message(&self) -> &RDKafkaMessage {
        // SAFETY: it is alive until `drop`, and no one writes to it.
        unsafe { self.message.as_ref() }
    }

    /// Whether the client may continue behind the record at this offset, which it has not given.
    pub(crate) fn misplaces(&self) -> bool {
        self.error().is_some() && self.offset() >= 0
    }

    /// What it is instead of a record.
    fn error(&self) -> Option<RDKafkaErrorCode> {
        match self.message().err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => None,
            error => Some(error.into()),
        }
    }

    fn reason(&self) -> String {
        // SAFETY: the message is alive, and its text ends with a zero byte.
        unsafe {
            let text = ffi::rd_kafka_message_errstr(self.message.as_ptr());
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        }
    }

    pub(crate) fn place(&self) -> PartitionKey {
        PartitionKey { topic: self.message().rkt.addr(), partition: self.message().partition }
    }

    /// The topic's name; empty for a failure of none.
    pub(crate) fn topic(&self) -> &str {
        if self.message().rkt.is_null() {
            return "";
        }
        // SAFETY: the topic lives as long as the message, and its name ends with a zero byte. No topic's is not UTF-8.
        unsafe { CStr::from_ptr(ffi::rd_kafka_topic_name(self.message().rkt)) }.to_str().unwrap_or_default()
    }

    pub(crate) fn partition(&self) -> i32 {
        self.message().partition
    }

    pub(crate) fn offset(&self) -> i64 {
        self.message().offset
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = ffi::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let timestamp = unsafe { ffi::rd_kafka_message_timestamp(self.message.as_ptr(), &raw mut kind) };
        let is_known = kind != ffi::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && timestamp != -1;
        is_known.then_some(timestamp)
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: the key lives as long as the message.
        unsafe { bytes(message.key, message.key_len) }
    }

    /// The value; none for a tombstone.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: the value lives as long as the message.
        unsafe { bytes(message.payload, message.len) }
    }

    /// All headers in order.
    pub(crate) fn headers(&self) -> RecordHeaders<'_> {
        // SAFETY: the message is alive for as long as it is borrowed.
        unsafe { RawHeaders::of(self.message.as_ptr()) }.collect()
    }
}
