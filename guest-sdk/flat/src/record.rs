//! Reading a record.

use std::borrow::Cow;

use crate::LayoutError;
use crate::bytes::Cursor;
use crate::record_writer::{ATTEMPT_AT, HAS_DATA, HAS_KEY, HAS_TIMESTAMP, HEAD, IS_CLOUDEVENT};

/// The `type` of a record that isn't a CloudEvent.
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
    /// The encoded attributes of a CloudEvent. Checked as a whole, and read where one of them is asked for: most
    /// functions ask for few.
    attributes: Option<&'a [u8]>,
    headers: &'a [u8],
}

/// How many texts the attributes start with: id, source and type.
const REQUIRED: usize = 3;
/// How many optional texts follow them: subject, time, datacontenttype and dataschema.
const OPTIONAL: usize = 4;

impl<'a> Record<'a> {
    /// Reads one record. `cluster` is the cluster's name in the `source` of records that aren't CloudEvents.
    pub fn parse(blob: &'a [u8], cluster: &'a str) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(blob);
        let record = Self::read(&mut cursor, cluster, true)?;
        if !cursor.is_at_end() {
            return Err(LayoutError::Impossible { what: "the size of a record", at: 0 });
        }
        Ok(record)
    }

    /// Reads one record that [`crate::write_record`] wrote in this process, without checking its texts again: what isn't
    /// text, or is cut short, is missing.
    pub fn reread(blob: &'a [u8], cluster: &'a str) -> Result<Self, LayoutError> {
        Self::read(&mut Cursor::new(blob), cluster, false)
    }

    /// Reads the record at `outer` and moves behind it. Without `check`, attributes and headers were checked before.
    pub(crate) fn read(outer: &mut Cursor<'a>, cluster: &'a str, check: bool) -> Result<Self, LayoutError> {
        let at = outer.at();
        let size = outer.u32("the size of a record")?;
        let rest =
            (size as usize).checked_sub(4).ok_or(LayoutError::Impossible { what: "the size of a record", at })?;
        let mut cursor = Cursor::new(outer.take(rest, "a record")?);
        let head: [u8; HEAD - 4] = cursor.array("a record's head")?;
        // Places in a record count from its size.
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| head[at - 4 + index]));
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| head[at - 4 + index]));
        let (attempt, offset, timestamp) = (u32_at(ATTEMPT_AT), u64_at(8) as i64, u64_at(16) as i64);
        let (partition, flags) = (u32_at(24) as i32, u32_at(28));
        let [topic_length, key_length, data_length, attributes_length, headers_length] =
            [u32_at(32), u32_at(36), u32_at(40), u32_at(44), u32_at(48)];
        let topic_at = cursor.at();
        let topic = std::str::from_utf8(cursor.take(topic_length as usize, "topic")?)
            .map_err(|_| LayoutError::NotText { what: "topic", at: topic_at })?;
        let key = cursor.take(key_length as usize, "key")?;
        let data = cursor.take(data_length as usize, "data")?;
        let attributes = cursor.take(attributes_length as usize, "attributes")?;
        let headers = cursor.take(headers_length as usize, "headers")?;
        let attributes = (flags & IS_CLOUDEVENT != 0).then_some(attributes);
        if check {
            attributes.map_or(Ok(()), check_attributes)?;
            check_headers(headers)?;
        }
        Ok(Self {
            cluster,
            topic,
            partition,
            offset,
            timestamp_ms: (flags & HAS_TIMESTAMP != 0).then_some(timestamp),
            attempt,
            key: (flags & HAS_KEY != 0).then_some(key),
            data: (flags & HAS_DATA != 0).then_some(data),
            attributes,
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
        match self.required(0) {
            Some(id) => Cow::Borrowed(id),
            None => Cow::Owned(format!("{}/{}/{}", self.topic, self.partition, self.offset)),
        }
    }

    /// `source`: the event's, or `kafka://cluster/topic`.
    pub fn source(&self) -> Cow<'a, str> {
        match self.required(1) {
            Some(source) => Cow::Borrowed(source),
            None => Cow::Owned(format!("kafka://{}/{}", self.cluster, self.topic)),
        }
    }

    /// `type`: the event's, or `dev.millstream.record`.
    pub fn type_(&self) -> &'a str {
        self.required(2).unwrap_or(WRAPPED_TYPE)
    }

    /// `subject`: the event's, or for a record that isn't a CloudEvent the key, where it is UTF-8.
    pub fn subject(&self) -> Option<&'a str> {
        match self.attributes {
            Some(_) => self.optional(0),
            None => self.key.and_then(|key| std::str::from_utf8(key).ok()),
        }
    }

    /// `time`, RFC 3339.
    pub fn time(&self) -> Option<&'a str> {
        self.optional(1)
    }

    /// `datacontenttype`.
    pub fn datacontenttype(&self) -> Option<&'a str> {
        self.optional(2)
    }

    /// `dataschema`.
    pub fn dataschema(&self) -> Option<&'a str> {
        self.optional(3)
    }

    /// Extension attributes in order.
    pub fn extensions(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut cursor = self.optional_at(OPTIONAL).unwrap_or(Cursor::new(&[]));
        let _count = cursor.u32("extensions");
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

    /// The required text at `index`. Checked by `parse`: it is missing only where the record isn't a CloudEvent.
    fn required(&self, index: usize) -> Option<&'a str> {
        let mut cursor = Cursor::new(self.attributes?);
        for _ in 0..index {
            cursor.bytes("attribute").ok()?;
        }
        cursor.text("attribute").ok()
    }

    /// The optional text at `index`.
    fn optional(&self, index: usize) -> Option<&'a str> {
        optional_text(&mut self.optional_at(index)?, "attribute").ok()?
    }

    /// The place of the optional text at `index`, or of what follows the last.
    fn optional_at(&self, index: usize) -> Option<Cursor<'a>> {
        let mut cursor = Cursor::new(self.attributes?);
        for _ in 0..REQUIRED {
            cursor.bytes("attribute").ok()?;
        }
        for _ in 0..index {
            cursor.optional_bytes("attribute").ok()?;
        }
        Some(cursor)
    }
}

fn check_attributes(section: &[u8]) -> Result<(), LayoutError> {
    let mut cursor = Cursor::new(section);
    for what in ["id", "source", "type"] {
        cursor.text(what)?;
    }
    for what in ["subject", "time", "datacontenttype", "dataschema"] {
        optional_text(&mut cursor, what)?;
    }
    for _ in 0..cursor.u32("extensions")? {
        cursor.text("an extension's name")?;
        cursor.text("an extension's value")?;
    }
    end_of(&cursor, "extensions")
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
