//! Every header and attribute that Millstream itself writes on records, and how they are read back: what caused an event,
//! which function wrote it on which attempt, and why a record was dead-lettered.
//!
//! An event carries an [`EventStamp`], as headers in binary mode and as attributes in structured mode. A dead letter carries a
//! [`DeadLetterStamp`] behind the headers of its record, which may carry stamps of their own: the last header of a name
//! counts.

use std::str::FromStr;

use serde::Deserialize;
use serde::ser::SerializeMap;

use crate::model::record::HeaderRef;
use crate::model::record_id::RecordId;
use crate::model::trace_context;

const CAUSE: &str = "millstreamcause";
const FUNCTION: &str = "millstreamfunction";
const ATTEMPT: &str = "millstreamattempt";

/// The same as headers in binary mode.
pub(crate) const CAUSE_HEADER: &str = "ce_millstreamcause";
const FUNCTION_HEADER: &str = "ce_millstreamfunction";
const ATTEMPT_HEADER: &str = "ce_millstreamattempt";

const ERROR_CLASS: &str = "millstream-error-class";
const ERROR_MESSAGE: &str = "millstream-error-message";
const ATTEMPTS: &str = "millstream-attempts";
const LETTER_FUNCTION: &str = "millstream-function";
const TOPIC: &str = "millstream-topic";
const PARTITION: &str = "millstream-partition";
const OFFSET: &str = "millstream-offset";
const TIMESTAMP: &str = "millstream-timestamp";

/// The dead letter that something came of when it was redriven: `topic/partition/offset`. On what was emitted then, and on the
/// dead letter that it became again.
pub(crate) const REDRIVEN: &str = "millstream-redriven";
/// On a dead letter that lacks its value.
pub(crate) const VALUE_TRUNCATED: &str = "millstream-value-truncated";

/// On what a replay writes to a topic of its own: the revision that emitted it, and the topic that it would have gone to.
pub(crate) const REPLAY: &str = "millstream-replay";
pub(crate) const REPLAY_TOPIC: &str = "millstream-replay-topic";

/// Takes the headers that are written.
pub(crate) trait HeaderSink {
    fn header(&mut self, name: &'static str, value: &[u8]);
}

/// What an event says of where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventStamp<'a> {
    /// The record that was handled: `topic/partition/offset`.
    pub(crate) cause: &'a str,
    /// `name@revision` of what emitted it.
    pub(crate) function: &'a str,
    /// The attempt that emitted it. The first one is not written.
    pub(crate) attempt: u32,
}

impl EventStamp<'_> {
    /// Writes it for an event in binary mode.
    #[inline]
    pub(crate) fn write_headers(&self, headers: &mut impl HeaderSink) {
        headers.header(CAUSE_HEADER, self.cause.as_bytes());
        headers.header(FUNCTION_HEADER, self.function.as_bytes());
        if self.attempt > 1 {
            headers.header(ATTEMPT_HEADER, self.attempt.to_string().as_bytes());
        }
    }

    /// Writes it for an event in structured mode.
    pub(crate) fn write_attributes<M: SerializeMap>(&self, event: &mut M) -> Result<(), M::Error> {
        event.serialize_entry(CAUSE, self.cause)?;
        event.serialize_entry(FUNCTION, self.function)?;
        if self.attempt > 1 {
            event.serialize_entry(ATTEMPT, &self.attempt)?;
        }
        Ok(())
    }
}

/// Why a record is a dead letter, and where it lay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetterStamp {
    /// The class of the fault.
    pub(crate) class: String,
    pub(crate) message: String,
    pub(crate) attempts: u32,
    /// `name@revision` of what dead-lettered it.
    pub(crate) function: String,
    pub(crate) record: RecordId,
    /// The record's timestamp: milliseconds since the Unix epoch.
    pub(crate) timestamp_ms: Option<i64>,
}

impl DeadLetterStamp {
    pub(crate) fn write_headers(&self, headers: &mut impl HeaderSink) {
        let timestamp = self.timestamp_ms.map(|millis| millis.to_string()).unwrap_or_default();
        headers.header(ERROR_CLASS, self.class.as_bytes());
        headers.header(ERROR_MESSAGE, self.message.as_bytes());
        headers.header(ATTEMPTS, self.attempts.to_string().as_bytes());
        headers.header(LETTER_FUNCTION, self.function.as_bytes());
        headers.header(TOPIC, self.record.partition.topic.as_bytes());
        headers.header(PARTITION, self.record.partition.partition.to_string().as_bytes());
        headers.header(OFFSET, self.record.offset.to_string().as_bytes());
        headers.header(TIMESTAMP, timestamp.as_bytes());
    }
}

/// Whether a header is one that a dead letter has beside those of its record. A new dead letter replaces those of an
/// earlier one.
pub(crate) fn is_of_dead_letter(name: &[u8]) -> bool {
    const OWN: [&str; 10] = [
        ERROR_CLASS,
        ERROR_MESSAGE,
        ATTEMPTS,
        LETTER_FUNCTION,
        TOPIC,
        PARTITION,
        OFFSET,
        TIMESTAMP,
        REDRIVEN,
        VALUE_TRUNCATED,
    ];
    OWN.iter().any(|own| own.as_bytes() == name)
}

/// Whether a header says in which run an event was emitted, and not what was emitted.
pub(crate) fn is_of_run(name: &[u8]) -> bool {
    const OF_RUN: [&str; 6] =
        [trace_context::HEADER, trace_context::STATE, FUNCTION_HEADER, ATTEMPT_HEADER, "ce_traceparent", REDRIVEN];
    OF_RUN.iter().any(|of_run| of_run.as_bytes() == name)
}

/// The attributes of a structured event that say in which run it was emitted.
pub(crate) const RUN_ATTRIBUTES: [&str; 2] = [FUNCTION, ATTEMPT];

/// Whether a header is the host's to set, and not a guest's.
pub(crate) fn is_reserved_header(name: &str) -> bool {
    name.starts_with("ce_")
        || name.starts_with("millstream-")
        || name.eq_ignore_ascii_case("content-type")
        || name.eq_ignore_ascii_case(trace_context::HEADER)
        || name.eq_ignore_ascii_case(trace_context::STATE)
}

/// Whether an attribute is the host's to set, and not a guest's.
pub(crate) fn is_reserved_attribute(name: &str) -> bool {
    name.starts_with("millstream")
}

/// Whether a content type says that a value is one event in JSON (structured mode).
pub(crate) fn is_json_event(content_type: &[u8]) -> bool {
    const JSON_EVENT: &[u8] = b"application/cloudevents+json";
    content_type.get(..JSON_EVENT.len()).is_some_and(|start| start.eq_ignore_ascii_case(JSON_EVENT))
}

/// The function in `name@revision`.
pub(crate) fn function_of(stamp: &str) -> Option<&str> {
    stamp.rsplit_once('@').map(|(name, _)| name)
}

/// Everything that a record says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RecordStamp {
    pub(crate) id: Option<String>,
    pub(crate) type_: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) traceparent: Option<String>,
    /// The stamp of an event. A dead letter still carries that of its record.
    pub(crate) cause: Option<RecordId>,
    /// `name@revision` of what emitted the event.
    pub(crate) function: Option<String>,
    /// The attempt that emitted the event, where a function did.
    pub(crate) attempt: Option<u32>,
    /// The dead letter that was redriven and led to this record.
    pub(crate) redriven: Option<RecordId>,
    pub(crate) is_truncated: bool,
    /// There is one if and only if the record is a dead letter: everything is said of it that a redrive needs.
    pub(crate) dead_letter: Option<DeadLetterStamp>,
}

/// The attributes of a structured event that matter here.
#[derive(Debug, Default, Deserialize)]
struct EventAttributes {
    id: Option<String>,
    #[serde(rename = "type")]
    type_: Option<String>,
    source: Option<String>,
    traceparent: Option<String>,
    millstreamcause: Option<String>,
    millstreamfunction: Option<String>,
    millstreamattempt: Option<u32>,
}

#[derive(Default)]
struct LetterHeaders<'a> {
    class: Option<&'a str>,
    message: Option<&'a str>,
    attempts: Option<&'a str>,
    function: Option<&'a str>,
    topic: Option<&'a str>,
    partition: Option<&'a str>,
    offset: Option<&'a str>,
    timestamp: Option<&'a str>,
}

impl RecordStamp {
    /// Reads a record's headers, and its value where that is a structured event.
    pub(crate) fn read<'a>(headers: impl IntoIterator<Item = HeaderRef<'a>>, value: Option<&[u8]>) -> Self {
        let mut stamp = Self::default();
        let mut event = EventAttributes::default();
        let mut letter = LetterHeaders::default();
        let mut is_structured = false;
        for (name, value) in headers {
            let (Ok(name), Some(value)) = (std::str::from_utf8(name), value) else { continue };
            let text = std::str::from_utf8(value).ok();
            let owned = || text.map(str::to_owned);
            match name {
                "ce_id" => event.id = owned(),
                "ce_type" => event.type_ = owned(),
                "ce_source" => event.source = owned(),
                CAUSE_HEADER => event.millstreamcause = owned(),
                FUNCTION_HEADER => event.millstreamfunction = owned(),
                ATTEMPT_HEADER => event.millstreamattempt = number(text),
                trace_context::HEADER => stamp.traceparent = owned(),
                REDRIVEN => stamp.redriven = number(text),
                VALUE_TRUNCATED => stamp.is_truncated = true,
                ERROR_CLASS => letter.class = text,
                ERROR_MESSAGE => letter.message = text,
                ATTEMPTS => letter.attempts = text,
                LETTER_FUNCTION => letter.function = text,
                TOPIC => letter.topic = text,
                PARTITION => letter.partition = text,
                OFFSET => letter.offset = text,
                TIMESTAMP => letter.timestamp = text,
                _ if name.eq_ignore_ascii_case("content-type") => is_structured = is_json_event(value),
                _ => {}
            }
        }
        if is_structured && let Some(read) = value.and_then(|value| serde_json::from_slice(value).ok()) {
            event = read;
        }
        stamp.dead_letter = letter.read();
        stamp.traceparent = stamp.traceparent.or(event.traceparent);
        (stamp.id, stamp.type_, stamp.source) = (event.id, event.type_, event.source);
        stamp.cause = number(event.millstreamcause.as_deref());
        stamp.attempt = event.millstreamfunction.as_ref().map(|_| event.millstreamattempt.unwrap_or(1));
        stamp.function = event.millstreamfunction;
        stamp
    }
}

impl LetterHeaders<'_> {
    fn read(&self) -> Option<DeadLetterStamp> {
        Some(DeadLetterStamp {
            class: self.class?.to_owned(),
            message: self.message.unwrap_or_default().to_owned(),
            attempts: number(self.attempts).unwrap_or_default(),
            function: self.function?.to_owned(),
            record: RecordId::new(self.topic?, number(self.partition)?, number(self.offset)?),
            timestamp_ms: number(self.timestamp),
        })
    }
}

fn number<T: FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serializer as _;

    use super::*;

    #[derive(Default)]
    struct Written(Vec<(Vec<u8>, Option<Vec<u8>>)>);

    impl HeaderSink for Written {
        fn header(&mut self, name: &'static str, value: &[u8]) {
            self.0.push((name.into(), Some(value.into())));
        }
    }

    fn read(headers: &Written) -> RecordStamp {
        RecordStamp::read(crate::model::record::header_refs(&headers.0), Some(b"value"))
    }

    fn of(headers: &[(&str, &str)], value: &str) -> RecordStamp {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_bytes())));
        RecordStamp::read(headers, Some(value.as_bytes()))
    }

    prop_compose! {
        fn record_id()(topic in "[a-zA-Z0-9._-]{1,20}", partition in 0..i32::MAX, offset in 0..i64::MAX) -> RecordId {
            RecordId::new(&topic, partition, offset)
        }
    }

    proptest! {
        #[test]
        fn an_event_in_binary_mode_says_what_was_written(cause in record_id(), function in "[a-z]{1,9}@[0-9]{1,3}", attempt in 1u32..) {
            let mut headers = Written(vec![(b"\xff".to_vec(), None), (CAUSE_HEADER.into(), Some(b"older/0/0".to_vec()))]);
            EventStamp { cause: &cause.to_string(), function: &function, attempt }.write_headers(&mut headers);
            let expected = RecordStamp { cause: Some(cause), function: Some(function), attempt: Some(attempt), ..RecordStamp::default() };
            prop_assert_eq!(read(&headers), expected);
        }

        #[test]
        fn an_event_in_structured_mode_says_what_was_written(cause in record_id(), function in "[a-z]{1,9}@[0-9]{1,3}", attempt in 1u32..) {
            let mut json = Vec::new();
            let mut serializer = serde_json::Serializer::new(&mut json);
            let mut map = serializer.serialize_map(None).unwrap();
            map.serialize_entry("id", "7").unwrap();
            EventStamp { cause: &cause.to_string(), function: &function, attempt }.write_attributes(&mut map).unwrap();
            map.end().unwrap();
            let headers = [(&b"Content-Type"[..], Some(&b"Application/CloudEvents+JSON; charset=UTF-8"[..]))];
            let expected = RecordStamp {
                id: Some("7".to_owned()),
                cause: Some(cause),
                function: Some(function),
                attempt: Some(attempt),
                ..RecordStamp::default()
            };
            prop_assert_eq!(RecordStamp::read(headers, Some(&json)), expected);
        }

        #[test]
        fn a_dead_letter_says_what_was_written(
            class in "[a-z-]{1,12}", message in ".{0,40}", attempts: u32, function in "[a-z]{1,9}@[0-9]{1,3}",
            record in record_id(), timestamp_ms: Option<i64>,
        ) {
            let written = DeadLetterStamp { class, message, attempts, function, record, timestamp_ms };
            let mut headers = Written(vec![(OFFSET.into(), Some(b"5".to_vec())), (b"\xfe".to_vec(), None)]);
            written.write_headers(&mut headers);
            prop_assert!(headers.0.iter().all(|(name, _)| is_of_dead_letter(name) || name == b"\xfe"));
            prop_assert_eq!(read(&headers).dead_letter, Some(written));
        }

        /// Guests cannot write a name that is read.
        #[test]
        fn guests_write_no_stamps(name in "(ce_|millstream|-|error|class|function|cause|topic|offset){0,4}", value in ".{0,9}") {
            if !is_reserved_header(&name) {
                prop_assert_eq!(of(&[(&name, &value)], ""), RecordStamp::default());
            }
        }
    }

    #[test]
    fn a_dead_letter_still_carries_the_stamp_of_its_record() {
        let letter = [
            ("ce_id", "7"),
            (CAUSE_HEADER, "earlier/0/0"),
            (ERROR_CLASS, "reject"),
            (ERROR_MESSAGE, "no bid"),
            (ATTEMPTS, "5"),
            (LETTER_FUNCTION, "place-bid@1"),
            (TOPIC, "bids"),
            (PARTITION, "1"),
            (OFFSET, "8"),
            (REDRIVEN, "place-bid.dead/0/4"),
            (VALUE_TRUNCATED, "true"),
        ];
        let stamp = of(&letter, "x");
        let read = stamp.dead_letter.unwrap();
        assert_eq!((read.record, read.attempts, read.class.as_str()), (RecordId::new("bids", 1, 8), 5, "reject"));
        assert_eq!((stamp.cause, stamp.id.as_deref()), (Some(RecordId::new("earlier", 0, 0)), Some("7")));
        assert_eq!((stamp.redriven, stamp.is_truncated), (Some(RecordId::new("place-bid.dead", 0, 4)), true));
        for needed in [ERROR_CLASS, LETTER_FUNCTION, TOPIC, PARTITION, OFFSET] {
            let without: Vec<_> = letter.into_iter().filter(|(name, _)| *name != needed).collect();
            assert_eq!(of(&without, "x").dead_letter, None, "without {needed}");
        }
    }

    #[test]
    fn a_record_that_says_nothing_reads_as_nothing() {
        assert_eq!(of(&[("h", "1")], "{"), RecordStamp::default());
        assert_eq!(of(&[("content-type", "application/cloudevents+json")], "{"), RecordStamp::default());
        assert_eq!(function_of("f@1"), Some("f"));
        assert_eq!(function_of("f"), None);
    }
}
