//! Makes the event of a test.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_flat::{Answer, Attributes, RecordFields, begin_batch, write_record};
use serde::Serialize;

use super::Outcome;
use crate::answer::answer;
use crate::emission::IntoBytes;
use crate::{Emissions, Event, Failure};

/// The `source` of records that aren't CloudEvents.
const CLUSTER: &str = "test";

/// The event of a test. See [`super::event`].
#[derive(Debug, Clone)]
pub struct EventBuilder {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    attempt: u32,
    timeout: Duration,
    key: Option<Vec<u8>>,
    data: Option<Vec<u8>>,
    attributes: Option<Set>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    /// The call's buffer, kept here because the event borrows from it.
    request: Vec<u8>,
}

/// The attributes of a CloudEvent.
#[derive(Debug, Clone)]
struct Set {
    id: String,
    source: String,
    type_: String,
    subject: Option<String>,
    time: Option<String>,
    content_type: Option<String>,
    data_schema: Option<String>,
    extensions: Vec<(String, String)>,
}

impl EventBuilder {
    pub(super) fn new() -> Self {
        Self {
            topic: "test".to_owned(),
            partition: 0,
            offset: 0,
            timestamp_ms: Some(0),
            attempt: 1,
            timeout: Duration::from_secs(3),
            key: None,
            data: Some(Vec::new()),
            attributes: None,
            headers: Vec::new(),
            request: Vec::new(),
        }
    }

    /// Sets the data.
    pub fn data<'b>(mut self, data: impl IntoBytes<'b>) -> Self {
        self.data = Some(data.into_bytes().into_owned());
        self
    }

    /// Sets the data to `value` in JSON. The content type stays as it is: a record has none unless it is set.
    ///
    /// # Panics
    ///
    /// When `value` cannot be JSON.
    #[track_caller]
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(data) => self.data = Some(data),
            Err(error) => panic!("the test's data cannot be JSON: {error}"),
        }
        self
    }

    /// Takes the value away.
    pub fn tombstone(mut self) -> Self {
        self.data = None;
        self
    }

    /// Sets the key.
    pub fn key<'b>(mut self, key: impl IntoBytes<'b>) -> Self {
        self.key = Some(key.into_bytes().into_owned());
        self
    }

    /// Adds a Kafka header.
    pub fn header<'b>(mut self, name: &str, value: impl IntoBytes<'b>) -> Self {
        self.headers.push((name.to_owned(), Some(value.into_bytes().into_owned())));
        self
    }

    /// Sets the topic.
    pub fn topic(mut self, topic: &str) -> Self {
        self.topic = topic.to_owned();
        self
    }

    /// Sets the partition.
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = partition;
        self
    }

    /// Sets the offset.
    pub fn offset(mut self, offset: i64) -> Self {
        self.offset = offset;
        self
    }

    /// Sets the record's timestamp, in milliseconds since the Unix epoch.
    pub fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// Sets which attempt it is.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Sets how long after the start of the call its deadline is.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets `id`.
    pub fn id(self, id: &str) -> Self {
        self.with_attribute(|set| set.id = id.to_owned())
    }

    /// Sets `source`.
    pub fn source(self, source: &str) -> Self {
        self.with_attribute(|set| set.source = source.to_owned())
    }

    /// Sets `type`.
    pub fn type_(self, type_: &str) -> Self {
        self.with_attribute(|set| set.type_ = type_.to_owned())
    }

    /// Sets `subject`.
    pub fn subject(self, subject: &str) -> Self {
        self.with_attribute(|set| set.subject = Some(subject.to_owned()))
    }

    /// Sets `time`.
    pub fn time(self, time: &str) -> Self {
        self.with_attribute(|set| set.time = Some(time.to_owned()))
    }

    /// Sets `datacontenttype`.
    pub fn content_type(self, content_type: &str) -> Self {
        self.with_attribute(|set| set.content_type = Some(content_type.to_owned()))
    }

    /// Sets `dataschema`.
    pub fn data_schema(self, data_schema: &str) -> Self {
        self.with_attribute(|set| set.data_schema = Some(data_schema.to_owned()))
    }

    /// Adds an extension attribute.
    pub fn extension(self, name: &str, value: &str) -> Self {
        self.with_attribute(|set| set.extensions.push((name.to_owned(), value.to_owned())))
    }

    /// Has `handler` handle the event, as one call of the host would.
    pub fn run<'e, R: Into<Emissions<'e>>>(
        &'e mut self,
        handler: impl FnOnce(Event<'e>) -> Result<R, Failure>,
    ) -> Outcome {
        self.request = self.encode();
        let mut handler = Some(handler);
        let answered = answer(&self.request, |event, verdict| {
            if let Some(handler) = handler.take() {
                verdict.write(handler(event));
            }
        });
        match Answer::parse(&answered) {
            Ok(answer) => Outcome::read(&answer, self.key.as_deref()),
            Err(error) => panic!("the answer cannot be read: {error}"),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
        let extensions = self.attributes.iter().flat_map(|set| &set.extensions);
        let extensions: Vec<_> = extensions.map(|(name, value)| (&**name, &**value)).collect();
        let attributes = self.attributes.as_ref().map(|set| Attributes {
            id: &set.id,
            source: &set.source,
            type_: &set.type_,
            subject: set.subject.as_deref(),
            time: set.time.as_deref(),
            datacontenttype: set.content_type.as_deref(),
            dataschema: set.data_schema.as_deref(),
            extensions: &extensions,
        });
        let deadline = (SystemTime::now() + self.timeout).duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut request = Vec::new();
        begin_batch(&mut request, 1, u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX), CLUSTER);
        let fields = RecordFields {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            attempt: self.attempt,
            key: self.key.as_deref(),
            data: self.data.as_deref(),
            attributes,
            headers: &headers,
        };
        write_record(&mut request, &fields);
        request
    }

    /// Makes the record a CloudEvent, unless it is one, and changes it.
    fn with_attribute(mut self, change: impl FnOnce(&mut Set)) -> Self {
        change(self.attributes.get_or_insert_with(|| Set {
            id: "1".to_owned(),
            source: "/test".to_owned(),
            type_: "test".to_owned(),
            subject: None,
            time: None,
            content_type: None,
            data_schema: None,
            extensions: Vec::new(),
        }));
        self
    }
}
