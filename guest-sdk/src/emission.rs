//! An event that a function emits.

use std::borrow::Cow;

use millstream_flat::{AnswerWriter, EmissionFields, EmissionKey};
use serde::Serialize;

use crate::Event;

/// Extensions that the host sets on what is emitted: passing the input's on would claim a wrong origin.
const SET_BY_HOST: [&str; 2] = ["traceparent", "tracestate"];
const SET_BY_HOST_PREFIX: &str = "millstream";

/// An event to emit: data, and what is said of it.
///
/// By default it goes to the output `default` with the key of the event that was handled, and the host fills
/// in `id`, `source` and `type`. Its parts may borrow from the event that was handled; `Emission<'static>` borrows
/// nothing.
#[derive(Debug, Clone, Default)]
pub struct Emission<'a> {
    output: Cow<'a, str>,
    key: Key<'a>,
    data: Option<Cow<'a, [u8]>>,
    id: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    type_: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    content_type: Option<Cow<'a, str>>,
    data_schema: Option<Cow<'a, str>>,
    extensions: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    headers: Vec<Header<'a>>,
}

/// A Kafka header: its name and value.
type Header<'a> = (Cow<'a, str>, Cow<'a, [u8]>);

#[derive(Debug, Clone, Default)]
enum Key<'a> {
    #[default]
    Inherit,
    None,
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Emission<'a> {
    /// An event with these bytes as its data: a `Vec<u8>`, `String`, or what is borrowed of them.
    pub fn new(data: impl IntoBytes<'a>) -> Self {
        Self { data: Some(data.into_bytes()), ..Self::default() }
    }

    /// An event with `value` as its data, in JSON, and the content type that says so.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        let data = serde_json::to_vec(value)?;
        Ok(Self::new(data).content_type("application/json"))
    }

    /// A record without a value. In a compacted topic it deletes its key.
    pub fn tombstone() -> Self {
        Self::default()
    }

    /// The same event again: its data, key, attributes and extensions, but not its other Kafka headers.
    ///
    /// What the host sets itself is left to it: where the event was caused, and its trace.
    pub fn forward(event: &Event<'a>) -> Self {
        let data = (!event.is_tombstone()).then(|| Cow::Borrowed(event.data()));
        if !event.is_cloudevent() {
            return Self { data, ..Self::default() };
        }
        let is_passed_on = |name: &str| !SET_BY_HOST.contains(&name) && !name.starts_with(SET_BY_HOST_PREFIX);
        let extensions = event.extensions().filter(|(name, _)| is_passed_on(name));
        Self {
            data,
            id: Some(event.id()),
            source: Some(event.source()),
            type_: Some(event.type_().into()),
            subject: event.subject().map(Into::into),
            time: event.time().map(Into::into),
            content_type: event.content_type().map(Into::into),
            data_schema: event.data_schema().map(Into::into),
            extensions: extensions.map(|(name, value)| (name.into(), value.into())).collect(),
            ..Self::default()
        }
    }

    /// Sends it to this output: a name from the manifest's `[outputs]`, not a topic.
    pub fn output(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.output = name.into();
        self
    }

    /// Gives the record this key instead of the input's.
    pub fn key(mut self, key: impl IntoBytes<'a>) -> Self {
        self.key = Key::Bytes(key.into_bytes());
        self
    }

    /// Gives the record no key instead of the input's: Kafka then chooses its partition.
    pub fn without_key(mut self) -> Self {
        self.key = Key::None;
        self
    }

    /// Sets `id`. Together with `source` it names the event; the host's own choice is the same in every attempt.
    pub fn id(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets `source`.
    pub fn source(mut self, source: impl Into<Cow<'a, str>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Sets `type`.
    pub fn type_(mut self, type_: impl Into<Cow<'a, str>>) -> Self {
        self.type_ = Some(type_.into());
        self
    }

    /// Sets `subject`.
    pub fn subject(mut self, subject: impl Into<Cow<'a, str>>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets `time`, which is RFC 3339.
    pub fn time(mut self, time: impl Into<Cow<'a, str>>) -> Self {
        self.time = Some(time.into());
        self
    }

    /// Sets `datacontenttype`.
    pub fn content_type(mut self, content_type: impl Into<Cow<'a, str>>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Sets `dataschema`.
    pub fn data_schema(mut self, data_schema: impl Into<Cow<'a, str>>) -> Self {
        self.data_schema = Some(data_schema.into());
        self
    }

    /// Sets an extension attribute: a name of lower case letters and digits.
    pub fn extension(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.extensions.iter_mut().find(|(found, _)| *found == name) {
            Some(extension) => extension.1 = value,
            None => self.extensions.push((name, value)),
        }
        self
    }

    /// Adds a Kafka header. A name may be added more than once.
    pub fn header(mut self, name: impl Into<Cow<'a, str>>, value: impl IntoBytes<'a>) -> Self {
        self.headers.push((name.into(), value.into_bytes()));
        self
    }

    /// Writes it to the verdict under way.
    pub(crate) fn write_to(&self, writer: &mut AnswerWriter) {
        // Empty lists, which most are, cost no allocation.
        let extensions: Vec<_> = self.extensions.iter().map(|(name, value)| (&**name, &**value)).collect();
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (&**name, Some(&**value))).collect();
        writer.emission(&EmissionFields {
            output: &self.output,
            key: match &self.key {
                Key::Inherit => EmissionKey::Inherit,
                Key::None => EmissionKey::None,
                Key::Bytes(key) => EmissionKey::Bytes(key),
            },
            id: self.id.as_deref(),
            source: self.source.as_deref(),
            type_: self.type_.as_deref(),
            subject: self.subject.as_deref(),
            time: self.time.as_deref(),
            datacontenttype: self.content_type.as_deref(),
            dataschema: self.data_schema.as_deref(),
            extensions: &extensions,
            headers: &headers,
            data: self.data.as_deref(),
        });
    }
}

/// What bytes can be given as: owned or borrowed, text or not.
pub trait IntoBytes<'a> {
    /// The bytes.
    fn into_bytes(self) -> Cow<'a, [u8]>;
}

macro_rules! into_bytes {
    ($($from:ty: |$value:ident| $bytes:expr;)+) => {
        $(impl<'a> IntoBytes<'a> for $from {
            fn into_bytes(self) -> Cow<'a, [u8]> {
                let $value = self;
                $bytes
            }
        })+
    };
}

into_bytes! {
    Vec<u8>: |value| Cow::Owned(value);
    &'a [u8]: |value| Cow::Borrowed(value);
    &'a Vec<u8>: |value| Cow::Borrowed(value);
    Cow<'a, [u8]>: |value| value;
    String: |value| Cow::Owned(value.into_bytes());
    &'a str: |value| Cow::Borrowed(value.as_bytes());
    &'a String: |value| Cow::Borrowed(value.as_bytes());
}

impl<'a, const N: usize> IntoBytes<'a> for &'a [u8; N] {
    fn into_bytes(self) -> Cow<'a, [u8]> {
        Cow::Borrowed(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    use super::*;

    #[test]
    fn everything_that_is_set_arrives() {
        let outcome = testing::event().key("k").run(|_| {
            let emission = Emission::new(b"d").output("o").key(String::from("x")).id("1").source("/s").type_("t");
            let emission = emission.subject("sub").time("2026-01-02T03:04:05Z").content_type("text/plain");
            let emission = emission.data_schema("/schema").extension("a", "1").extension("a", "2");
            Ok(emission.header("h", "1").header("h", b"2"))
        });
        let emission = outcome.assert_emitted(1).assert_output("o").emission(0);
        assert_eq!((emission.data(), emission.key()), (Some(&b"d"[..]), Some(&b"x"[..])));
        let texts = [emission.id(), emission.source(), emission.type_(), emission.subject(), emission.time()];
        assert_eq!(texts, [Some("1"), Some("/s"), Some("t"), Some("sub"), Some("2026-01-02T03:04:05Z")]);
        assert_eq!((emission.content_type(), emission.data_schema()), (Some("text/plain"), Some("/schema")));
        assert_eq!(emission.extension("a"), Some("2"));
        let headers: Vec<_> = emission.headers().collect();
        assert_eq!(headers, [("h", Some(&b"1"[..])), ("h", Some(&b"2"[..]))]);
    }

    #[test]
    fn the_input_gives_the_key_unless_told_otherwise() {
        let mut event = testing::event().key(b"\xff");
        let kept = event.run(|_| Ok(Emission::new("a")));
        assert_eq!(kept.emission(0).key(), Some(&b"\xff"[..]));
        let dropped = event.run(|_| Ok(Emission::new("a").without_key()));
        assert_eq!(dropped.emission(0).key(), None);
    }

    #[test]
    fn a_forwarded_event_is_the_same_but_for_what_the_host_sets() {
        let event =
            testing::event().id("1").type_("t").subject("s").data("x").header("h", "v").content_type("text/plain");
        let mut event =
            event.extension("a", "b").extension("traceparent", "00-").extension("millstreamcause", "in/0/1");
        let outcome = event.run(|event| Ok(Emission::forward(&event)));
        let emission = outcome.emission(0);
        assert_eq!((emission.id(), emission.type_(), emission.subject()), (Some("1"), Some("t"), Some("s")));
        assert_eq!((emission.content_type(), emission.data()), (Some("text/plain"), Some(&b"x"[..])));
        assert_eq!(emission.extensions().collect::<Vec<_>>(), [("a", "b")]);
        assert_eq!(emission.headers().count(), 0);
    }

    #[test]
    fn a_forwarded_record_that_is_no_event_stays_none() {
        let outcome = testing::event().data("x").run(|event| Ok(Emission::forward(&event)));
        assert_eq!((outcome.emission(0).id(), outcome.emission(0).type_()), (None, None));
        let tombstone = testing::event().tombstone().run(|event| Ok(Emission::forward(&event)));
        assert_eq!(tombstone.emission(0).data(), None);
    }
}
