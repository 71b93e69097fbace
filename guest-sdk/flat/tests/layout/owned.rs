//! Arbitrary records and emissions that own their parts, and how they are written and compared.

use millstream_flat::{
    AnswerWriter, Attributes, Emission, EmissionFields, EmissionKey, Record, RecordFields, begin_batch, write_record,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

type Headers = Vec<(String, Option<Vec<u8>>)>;
type Extensions = Vec<(String, String)>;

/// A record before it is written.
#[derive(Debug, Clone)]
pub struct OwnedRecord {
    pub topic: String,
    pub place: (i32, i64),
    pub timestamp_ms: Option<i64>,
    pub attempt: u32,
    pub key: Option<Vec<u8>>,
    pub data: Option<Vec<u8>>,
    pub event: Option<OwnedEvent>,
    pub headers: Headers,
}

/// The attributes of a CloudEvent: id, source and type; subject, time, datacontenttype and dataschema; extensions.
#[derive(Debug, Clone)]
pub struct OwnedEvent {
    pub required: [String; 3],
    pub optional: [Option<String>; 4],
    pub extensions: Extensions,
}

/// A verdict before it is written.
#[derive(Debug, Clone)]
pub enum OwnedVerdict {
    Emitted(Vec<OwnedEmission>),
    Retry(Option<u64>, String),
    Reject(String),
}

/// An emission before it is written. A key of `None` is the input's, with `Some(None)` there is no key.
#[derive(Debug, Clone)]
pub struct OwnedEmission {
    pub output: String,
    pub key: Option<Option<Vec<u8>>>,
    pub data: Option<Vec<u8>>,
    pub texts: [Option<String>; 7],
    pub extensions: Extensions,
    pub headers: Headers,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn text() -> impl Strategy<Value = String> {
    // Letters, and now and then anything that is UTF-8.
    prop_oneof![3 => "[a-z/.]{0,12}", 1 => "\\PC{0,8}"]
}

fn headers() -> impl Strategy<Value = Headers> {
    vec((text(), of(bytes())), 0..4)
}

fn extensions() -> impl Strategy<Value = Extensions> {
    vec((text(), text()), 0..4)
}

fn optional_texts<const N: usize>() -> impl Strategy<Value = [Option<String>; N]> {
    vec(of(text()), N).prop_map(|texts| texts.try_into().unwrap())
}

prop_compose! {
    fn event()(
        required in [text(), text(), text()], optional in optional_texts::<4>(), extensions in extensions(),
    ) -> OwnedEvent {
        OwnedEvent { required, optional, extensions }
    }
}

prop_compose! {
    /// Any record.
    pub fn record()(
        topic in text(), place in any::<(i32, i64)>(), timestamp_ms in any::<Option<i64>>(), attempt in any::<u32>(),
        key in of(bytes()), data in of(bytes()), event in of(event()), headers in headers(),
    ) -> OwnedRecord {
        OwnedRecord { topic, place, timestamp_ms, attempt, key, data, event, headers }
    }
}

prop_compose! {
    fn emission()(
        output in text(), key in of(of(bytes())), data in of(bytes()), texts in optional_texts::<7>(),
        extensions in extensions(), headers in headers(),
    ) -> OwnedEmission {
        OwnedEmission { output, key, data, texts, extensions, headers }
    }
}

/// Any verdict. The longest wait is the number that means none, and no wait of the real world.
pub fn verdict() -> impl Strategy<Value = OwnedVerdict> {
    prop_oneof![
        3 => vec(emission(), 0..4).prop_map(OwnedVerdict::Emitted),
        1 => (of(0..u64::MAX), text()).prop_map(|(after, reason)| OwnedVerdict::Retry(after, reason)),
        1 => text().prop_map(OwnedVerdict::Reject),
    ]
}

fn borrowed_headers(headers: &Headers) -> Vec<(&str, Option<&[u8]>)> {
    headers.iter().map(|(name, value)| (&**name, value.as_deref())).collect()
}

fn borrowed_extensions(extensions: &Extensions) -> Vec<(&str, &str)> {
    extensions.iter().map(|(name, value)| (&**name, &**value)).collect()
}

impl OwnedRecord {
    /// Appends it to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let extensions = self.event.as_ref().map(|event| borrowed_extensions(&event.extensions)).unwrap_or_default();
        let attributes = self.event.as_ref().map(|event| {
            let [id, source, type_] = &event.required;
            let [subject, time, datacontenttype, dataschema] = event.optional.each_ref().map(Option::as_deref);
            Attributes { id, source, type_, subject, time, datacontenttype, dataschema, extensions: &extensions }
        });
        let fields = RecordFields {
            topic: &self.topic,
            partition: self.place.0,
            offset: self.place.1,
            timestamp_ms: self.timestamp_ms,
            attempt: self.attempt,
            key: self.key.as_deref(),
            data: self.data.as_deref(),
            attributes,
            headers: &borrowed_headers(&self.headers),
        };
        write_record(out, &fields);
    }

    /// Asserts that `read` says the same. `cluster` is the batch's.
    pub fn assert_same(&self, read: &Record<'_>, cluster: &str) {
        assert_eq!((read.topic(), read.partition(), read.offset()), (&*self.topic, self.place.0, self.place.1));
        assert_eq!((read.timestamp_ms(), read.attempt()), (self.timestamp_ms, self.attempt));
        assert_eq!((read.key(), read.data()), (self.key.as_deref(), self.data.as_deref()));
        assert_eq!(read.headers().collect::<Vec<_>>(), borrowed_headers(&self.headers));
        assert_eq!(read.is_cloudevent(), self.event.is_some());
        let optional = [read.subject(), read.time(), read.datacontenttype(), read.dataschema()];
        let Some(event) = &self.event else {
            let (partition, offset) = self.place;
            assert_eq!(read.id(), format!("{}/{partition}/{offset}", self.topic));
            assert_eq!(read.source(), format!("kafka://{cluster}/{}", self.topic));
            assert_eq!(read.type_(), "dev.millstream.record");
            let subject = self.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
            assert_eq!((optional, read.extensions().count()), ([subject, None, None, None], 0));
            return;
        };
        assert_eq!([&*read.id(), &*read.source(), read.type_()], event.required.each_ref().map(|text| &**text));
        assert_eq!(optional, event.optional.each_ref().map(Option::as_deref));
        assert_eq!(read.extensions().collect::<Vec<_>>(), borrowed_extensions(&event.extensions));
    }
}

impl OwnedVerdict {
    /// Adds it to `writer`.
    pub fn write(&self, writer: &mut AnswerWriter) {
        match self {
            Self::Emitted(emissions) => {
                writer.begin_emitted();
                for emission in emissions {
                    emission.write(writer);
                }
                writer.end_emitted();
            }
            Self::Retry(after, reason) => writer.retry(*after, reason),
            Self::Reject(reason) => writer.reject(reason),
        }
    }
}

impl OwnedEmission {
    fn key(&self) -> EmissionKey<'_> {
        match &self.key {
            None => EmissionKey::Inherit,
            Some(None) => EmissionKey::None,
            Some(Some(key)) => EmissionKey::Bytes(key),
        }
    }

    fn write(&self, writer: &mut AnswerWriter) {
        let texts = self.texts.each_ref().map(Option::as_deref);
        let [id, source, type_, subject, time, datacontenttype, dataschema] = texts;
        writer.emission(&EmissionFields {
            output: &self.output,
            key: self.key(),
            id,
            source,
            type_,
            subject,
            time,
            datacontenttype,
            dataschema,
            extensions: &borrowed_extensions(&self.extensions),
            headers: &borrowed_headers(&self.headers),
            data: self.data.as_deref(),
        });
    }

    /// Asserts that `read` says the same.
    pub fn assert_same(&self, read: &Emission<'_>) {
        assert_eq!(read.output(), if self.output.is_empty() { "default" } else { &self.output });
        assert_eq!((read.key(), read.data()), (self.key(), self.data.as_deref()));
        let [id, source, type_] = [read.id(), read.source(), read.type_()];
        let texts = [id, source, type_, read.subject(), read.time(), read.datacontenttype(), read.dataschema()];
        assert_eq!(texts, self.texts.each_ref().map(Option::as_deref));
        assert_eq!(read.extensions().collect::<Vec<_>>(), borrowed_extensions(&self.extensions));
        assert_eq!(read.headers().collect::<Vec<_>>(), borrowed_headers(&self.headers));
    }
}

/// A request with these records.
pub fn request(records: &[OwnedRecord], deadline_ms: u64, cluster: &str) -> Vec<u8> {
    let mut out = Vec::new();
    begin_batch(&mut out, records.len() as u32, deadline_ms, cluster);
    for record in records {
        record.write(&mut out);
    }
    out
}

/// An answer with these verdicts.
pub fn answer(verdicts: &[OwnedVerdict]) -> Vec<u8> {
    let mut writer = AnswerWriter::new();
    for verdict in verdicts {
        verdict.write(&mut writer);
    }
    writer.finish()
}
