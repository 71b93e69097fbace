//! Where a record was found, as extension attributes for guests that know nothing of Kafka.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use millstream_flat::Record;

const TOPIC: &str = "millstreamtopic";
const PARTITION: &str = "millstreampartition";
const OFFSET: &str = "millstreamoffset";
const KEY: &str = "millstreamkey";

/// The extensions of `record`: its own, but for those that the host has the say on, and then its place.
///
/// A key that is not UTF-8 is given in base64. All values are texts, for an offset is larger than what CloudEvents
/// takes for an integer.
pub(crate) fn extensions<'a>(record: &Record<'a>) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
    let own = record.extensions().filter(|(name, _)| ![TOPIC, PARTITION, OFFSET, KEY].contains(name));
    let key = record.key().map(|key| match std::str::from_utf8(key) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(BASE64.encode(key)),
    });
    own.map(|(name, value)| (name, Cow::Borrowed(value)))
        .chain([
            (TOPIC, Cow::Borrowed(record.topic())),
            (PARTITION, Cow::Owned(record.partition().to_string())),
            (OFFSET, Cow::Owned(record.offset().to_string())),
        ])
        .chain(key.map(|key| (KEY, key)))
}
