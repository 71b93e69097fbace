//! The event that a function handles.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_flat::Record;
use serde::Deserialize;

/// A CloudEvent, and the Kafka record that it came as.
///
/// It borrows from the call's buffer, is cheap to copy, and nothing in it is parsed before it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    record: Record<'a>,
    deadline_ms: u64,
}

impl<'a> Event<'a> {
    pub(crate) fn new(record: Record<'a>, deadline_ms: u64) -> Self {
        Self { record, deadline_ms }
    }

    /// The data, byte for byte; empty for a tombstone.
    pub fn data(&self) -> &'a [u8] {
        self.record.data().unwrap_or_default()
    }

    /// Whether the Kafka record has no value at all, which is something else than an empty one.
    pub fn is_tombstone(&self) -> bool {
        self.record.data().is_none()
    }

    /// The data, read as JSON.
    ///
    /// With `?` an error rejects the event: what cannot be read now cannot be read later.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.data())
    }

    /// The data as text.
    ///
    /// With `?` an error rejects the event.
    pub fn text(&self) -> Result<&'a str, std::str::Utf8Error> {
        std::str::from_utf8(self.data())
    }

    /// The record's key: any bytes.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.record.key()
    }

    /// The record's key where it is UTF-8.
    pub fn key_text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.record.key()?).ok()
    }

    /// The record's topic.
    pub fn topic(&self) -> &'a str {
        self.record.topic()
    }

    /// The record's partition.
    pub fn partition(&self) -> i32 {
        self.record.partition()
    }

    /// The record's offset.
    pub fn offset(&self) -> i64 {
        self.record.offset()
    }

    /// The record's timestamp. None as well for one before 1970.
    pub fn timestamp(&self) -> Option<SystemTime> {
        let since_epoch = u64::try_from(self.record.timestamp_ms()?).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(since_epoch))
    }

    /// The record's timestamp in milliseconds since the Unix epoch.
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.record.timestamp_ms()
    }

    /// Every Kafka header in order, duplicates kept, those with CloudEvents attributes (`ce_…`) among them.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        self.record.headers()
    }

    /// The value of the last Kafka header of this name, which is the one that counts by Kafka's custom.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().filter(|(found, _)| *found == name).last()?.1
    }

    /// Which attempt this is: 1 for the first. It starts at 1 again when another host takes the partition over.
    pub fn attempt(&self) -> u32 {
        self.record.attempt()
    }

    /// When the host ends the call, whatever it does.
    pub fn deadline(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.deadline_ms.min(i64::MAX as u64))
    }

    /// How long there is until [`Self::deadline`].
    pub fn remaining(&self) -> Duration {
        self.deadline().duration_since(SystemTime::now()).unwrap_or_default()
    }

    /// Whether the record was a CloudEvent. One that wasn't has attributes that name its position in Kafka.
    pub fn is_cloudevent(&self) -> bool {
        self.record.is_cloudevent()
    }

    /// `id`: `topic/partition/offset` where the record wasn't a CloudEvent.
    pub fn id(&self) -> Cow<'a, str> {
        self.record.id()
    }

    /// `source`: `kafka://<cluster>/<topic>` where the record wasn't a CloudEvent.
    pub fn source(&self) -> Cow<'a, str> {
        self.record.source()
    }

    /// `type`: `dev.millstream.record` where the record wasn't a CloudEvent.
    pub fn type_(&self) -> &'a str {
        self.record.type_()
    }

    /// `subject`: the key, if it is UTF-8, where the record wasn't a CloudEvent.
    pub fn subject(&self) -> Option<&'a str> {
        self.record.subject()
    }

    /// `time`, RFC 3339.
    pub fn time(&self) -> Option<&'a str> {
        self.record.time()
    }

    /// `datacontenttype`.
    pub fn content_type(&self) -> Option<&'a str> {
        self.record.datacontenttype()
    }

    /// `dataschema`.
    pub fn data_schema(&self) -> Option<&'a str> {
        self.record.dataschema()
    }

    /// Extension attributes in order.
    pub fn extensions(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.record.extensions()
    }

    /// The extension attribute `name`.
    pub fn extension(&self, name: &str) -> Option<&'a str> {
        self.record.extension(name)
    }

    /// Any attribute by its CloudEvents name: `id`, `datacontenttype`, an extension, …
    pub fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        self.record.attribute(name)
    }
}

#[cfg(test)]
mod tests {
    use millstream_flat::{RecordFields, write_record};

    use super::*;

    fn with_event(fields: &RecordFields<'_>, deadline_ms: u64, check: impl FnOnce(Event<'_>)) {
        let mut blob = Vec::new();
        write_record(&mut blob, fields);
        check(Event::new(Record::parse(&blob, "test").unwrap(), deadline_ms));
    }

    #[test]
    fn the_last_header_of_a_name_counts() {
        let headers = [("a", Some(&b"1"[..])), ("b", None), ("a", Some(&b"2"[..]))];
        with_event(&RecordFields { headers: &headers, ..RecordFields::default() }, 0, |event| {
            assert_eq!(event.header("a"), Some(&b"2"[..]));
            assert_eq!(event.header("b"), None);
            assert_eq!(event.headers().count(), 3);
        });
    }

    #[test]
    fn times_beyond_the_clock_do_no_harm() {
        let fields = RecordFields { timestamp_ms: Some(-1), ..RecordFields::default() };
        with_event(&fields, u64::MAX, |event| {
            assert_eq!((event.timestamp(), event.timestamp_ms()), (None, Some(-1)));
            assert!(event.remaining() > Duration::from_secs(3600));
        });
        with_event(&fields, 0, |event| assert_eq!(event.remaining(), Duration::ZERO));
    }

    #[test]
    fn a_tombstone_is_no_empty_value() {
        with_event(&RecordFields::default(), 0, |event| assert!(event.is_tombstone() && event.data().is_empty()));
        let empty = RecordFields { data: Some(b""), ..RecordFields::default() };
        with_event(&empty, 0, |event| assert!(!event.is_tombstone() && event.data().is_empty()));
    }
}
