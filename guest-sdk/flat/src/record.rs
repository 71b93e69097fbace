//! Reading a record.

use std::borrow::Cow;

use crate::LayoutError;
use crate::bytes::Cursor;
use crate::record_writer::{HAS_DATA, HAS_KEY, HAS_TIMESTAMP, HEAD, IS_CLOUDEVENT};

/// The `type` of a record that is no CloudEvent.
const WRAPPED_TYPE: &str = "dev.millstream.record";

/// A record, checked.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    cluster: &'a str,
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    attempt: u32,
    key: Option<&'a [u8]>,
    data: Option<&'a [u8]>,
    attributes: Option<Known<'a>>,
    headers: &'a [u8],
}

/// The attributes of a CloudEvent; extensions are still encoded.
#[derive(Debug, Clone, Copy)]
struct Known<'a> {
    id: &'a str,
    source: &'a str,
    type_: &'a str,
    subject: Option<&'a str>,
    time: Option<&'a str>,
    datacontenttype: Option<&'a str>,
    dataschema: Option<&'a str>,
    extensions: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads one record. `cluster` is the cluster's name in the `source` of records that are no CloudEvents.
    pub fn parse(blob: &'a [u8], cluster: &'a str) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(blob);
        let record = Self::read(&mut cursor, cluster)?;
        if !cursor.is_at_end() {
            return Err(LayoutError::Impossible { what: "the size of a record", at: 0 });
        }
        Ok(record)
    }

    /// Reads the record at `cursor` and moves behind it.
    pub(crate) fn read(outer: &mut Cursor<'a>, cluster: &'a str) -> Result<Self, LayoutError> {
        let at = outer.at();
        let size = outer.u32("the size of a record")?;
        let rest =
            (size as usize).checked_sub(4).ok_or(LayoutError::Impossible { what: "the size of a record", at })?;
        let mut cursor = Cursor::new(outer.take(rest, "a record")?);
        let attempt = cursor.u32("attempt")?;
        let offset = cursor.u64("offset")? as i64;
        let timestamp = cursor.u64("timestamp")? as i64;
        let partition = cursor.u32("partition")? as i32;
        let flags = cursor.u32("flags")?;
        let topic_length = cursor.u32("the topic's length")?;
        let key_length = cursor.u32("the key's length")?;
        let data_length = cursor.u32("the data's length")?;
        let attributes_length = cursor.u32("the attributes' length")?;
        let headers_length = cursor.u32("the headers' length")?;
        cursor.u32("reserved")?;
        debug_assert_eq!(cursor.at() + 4, HEAD, "the head is read whole");
        let topic_at = cursor.at();
        let topic = std::str::from_utf8(cursor.take(topic_length as usize, "topic")?)
            .map_err(|_| LayoutError::NotText { what: "topic", at: topic_at })?;
        let key = cursor.take(key_length as usize, "key")?;
        let data = cursor.take(data_length as usize, "data")?;
        let attributes = cursor.take(attributes_length as usize, "attributes")?;
        let headers = cursor.take(headers_length as usize, "headers")?;
        check_headers(headers)?;
        Ok(Self {
            cluster,
            topic,
            partition,
            offset,
            timestamp_ms: (flags & HAS_TIMESTAMP != 0).then_some(timestamp),
            attempt,
            key: (flags & HAS_KEY != 0).then_some(key),
            data: (flags & HAS_DATA != 0).then_some(data),
            attributes: if flags & IS_CLOUDEVENT != 0 { Some(Known::read(attributes)?) } else { None },
            headers,
        })
    }

    /// The topic's name.
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The offset.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Milliseconds since the Unix epoch.
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp_ms
    }

    /// 1 for the first attempt.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The key.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// The event's data; none for a tombstone.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.data
    }

    /// Whether the record was a CloudEvent, rather than made one.
    pub fn is_cloudevent(&self) -> bool {
        self.attributes.is_some()
    }

    /// `id`: the event's, or `topic/partition/offset`.
    pub fn id(&self) -> Cow<'a, str> {
        match &self.attributes {
            Some(known) => Cow::Borrowed(known.id),
            None => Cow::Owned(format!("{}/{}/{}", self.topic, self.partition, self.offset)),
        }
    }

    /// `source`: the event's, or `kafka://cluster/topic`.
    pub fn source(&self) -> Cow<'a, str> {
        match &self.attributes {
            Some(known) => Cow::Borrowed(known.source),
            None => Cow::Owned(format!("kafka://{}/{}", self.cluster, self.topic)),
        }
    }

    /// `type`: the event's, or `dev.millstream.record`.
    pub fn type_(&self) -> &'a str {
        self.attributes.as_ref().map_or(WRAPPED_TYPE, |known| known.type_)
    }

    /// `subject`: the event's, or for a record that is no CloudEvent the key, where it is UTF-8.
    pub fn subject(&self) -> Option<&'a str> {
        match &self.attributes {
            Some(known) => known.subject,
            None => self.key.and_then(|key| std::str::from_utf8(key).ok()),
        }
    }

    /// `time`, RFC 3339.
    pub fn time(&self) -> Option<&'a str> {
        self.attributes.as_ref()?.time
    }

    /// `datacontenttype`.
    pub fn datacontenttype(&self) -> Option<&'a str> {
        self.attributes.as_ref()?.datacontenttype
    }

    /// `dataschema`.
    pub fn dataschema(&self) -> Option<&'a str> {
        self.attributes.as_ref()?.dataschema
    }

    /// Extension attributes in order.
    pub fn extensions(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let encoded = self.attributes.as_ref().map_or(&[][..], |known| known.extensions);
        let mut cursor = Cursor::new(encoded);
        // Checked by `parse`: a failure can only be the end.
        std::iter::from_fn(move || Some((cursor.text("extension").ok()?, cursor.text("extension").ok()?)))
    }

    /// The extension attribute `name`.
    pub fn extension(&self, name: &str) -> Option<&'a str> {
        self.extensions().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Any context attribute or extension by its name.
    pub fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        match name {
            "specversion" => Some("1.0".into()),
            "id" => Some(self.id()),
            "source" => Some(self.source()),
            "type" => Some(self.type_().into()),
            "subject" => self.subject().map(Cow::Borrowed),
            "time" => self.time().map(Cow::Borrowed),
            "datacontenttype" => self.datacontenttype().map(Cow::Borrowed),
            "dataschema" => self.dataschema().map(Cow::Borrowed),
            _ => self.extension(name).map(Cow::Borrowed),
        }
    }

    /// Every Kafka header in order, duplicates kept.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor::new(self.headers);
        let _count = cursor.u32("headers");
        std::iter::from_fn(move || Some((cursor.text("header").ok()?, cursor.optional_bytes("header").ok()?)))
    }
}

impl<'a> Known<'a> {
    fn read(section: &'a [u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(section);
        let (id, source, type_) = (cursor.text("id")?, cursor.text("source")?, cursor.text("type")?);
        let subject = optional_text(&mut cursor, "subject")?;
        let time = optional_text(&mut cursor, "time")?;
        let datacontenttype = optional_text(&mut cursor, "datacontenttype")?;
        let dataschema = optional_text(&mut cursor, "dataschema")?;
        let count = cursor.u32("extensions")?;
        let extensions = &section[cursor.at()..];
        for _ in 0..count {
            cursor.text("an extension's name")?;
            cursor.text("an extension's value")?;
        }
        end_of(&cursor, "extensions")?;
        Ok(Self { id, source, type_, subject, time, datacontenttype, dataschema, extensions })
    }
}

pub(crate) fn optional_text<'a>(cursor: &mut Cursor<'a>, what: &'static str) -> Result<Option<&'a str>, LayoutError> {
    let at = cursor.at();
    let bytes = cursor.optional_bytes(what)?;
    bytes.map(std::str::from_utf8).transpose().map_err(|_| LayoutError::NotText { what, at })
}

fn check_headers(section: &[u8]) -> Result<(), LayoutError> {
    if section.is_empty() {
        return Ok(());
    }
    let mut cursor = Cursor::new(section);
    for _ in 0..cursor.u32("headers")? {
        cursor.text("a header's name")?;
        cursor.optional_bytes("a header's value")?;
    }
    end_of(&cursor, "headers")
}

fn end_of(cursor: &Cursor<'_>, what: &'static str) -> Result<(), LayoutError> {
    if cursor.is_at_end() { Ok(()) } else { Err(LayoutError::Impossible { what, at: cursor.at() }) }
}
