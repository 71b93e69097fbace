//! What a record tells of itself and of what caused it.

use serde::Deserialize;

use crate::lineage::record_id::RecordId;
use crate::lineage::view::{NodeFault, NodeKind};

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct RecordProvenance {
    pub(crate) kind: NodeKind,
    pub(crate) id: Option<String>,
    pub(crate) type_: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) traceparent: Option<String>,
    /// Which record led to it.
    pub(crate) cause: Option<RecordId>,
    /// `name@revision` of the function that wrote it.
    pub(crate) stamp: Option<String>,
    /// The attempt of that function; 1 unless it says otherwise.
    pub(crate) attempt: Option<u32>,
    pub(crate) fault: Option<NodeFault>,
    /// Whether it came of a dead letter that was handled again; that letter is its cause then.
    pub(crate) is_redriven: bool,
}

/// The attributes of a structured event that matter here.
#[derive(Debug, Default, Deserialize)]
struct StructuredAttributes {
    id: Option<String>,
    #[serde(rename = "type")]
    type_: Option<String>,
    source: Option<String>,
    traceparent: Option<String>,
    millstreamcause: Option<String>,
    millstreamfunction: Option<String>,
    millstreamattempt: Option<u32>,
}

/// Reads a record's headers, and its value where that is a structured event.
pub(crate) fn read<'a>(
    headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
    value: Option<&[u8]>,
) -> RecordProvenance {
    let mut told = RecordProvenance::default();
    let mut attributes = StructuredAttributes::default();
    let mut is_structured = false;
    let mut letter = DeadLetter::default();
    let mut redriven: Option<RecordId> = None;
    for (name, value) in headers {
        let Some(value) = value else { continue };
        let text = || std::str::from_utf8(value).ok().map(str::to_owned);
        match name {
            "ce_id" => attributes.id = text(),
            "ce_type" => attributes.type_ = text(),
            "ce_source" => attributes.source = text(),
            "ce_millstreamcause" => attributes.millstreamcause = text(),
            "ce_millstreamfunction" => attributes.millstreamfunction = text(),
            "ce_millstreamattempt" => attributes.millstreamattempt = text().and_then(|text| text.parse().ok()),
            "traceparent" => told.traceparent = text(),
            "millstream-redriven" => redriven = text().and_then(|place| place.parse().ok()),
            _ if name.eq_ignore_ascii_case("content-type") => is_structured = is_cloudevent(value),
            _ => letter.hear(name, text),
        }
    }
    if is_structured && let Some(event) = value.and_then(|value| serde_json::from_slice(value).ok()) {
        attributes = event;
    }
    told.traceparent = told.traceparent.or(attributes.traceparent);
    (told.id, told.type_, told.source) = (attributes.id, attributes.type_, attributes.source);
    match letter.topic.is_empty() {
        // It still carries what the record said that was given up; the letter itself has another cause.
        false => letter.write(&mut told),
        true => {
            told.cause = attributes.millstreamcause.and_then(|cause| cause.parse().ok());
            told.stamp = attributes.millstreamfunction;
            told.attempt = told.stamp.as_ref().map(|_| attributes.millstreamattempt.unwrap_or(1));
        }
    }
    told.is_redriven = redriven.is_some();
    told.cause = redriven.or(told.cause);
    told
}

fn is_cloudevent(content_type: &[u8]) -> bool {
    content_type.to_ascii_lowercase().starts_with(b"application/cloudevents+json")
}

/// The headers of a dead letter.
#[derive(Default)]
struct DeadLetter {
    topic: String,
    partition: Option<i32>,
    offset: Option<i64>,
    stamp: Option<String>,
    attempts: Option<u32>,
    class: String,
    message: String,
}

impl DeadLetter {
    fn hear(&mut self, name: &str, text: impl Fn() -> Option<String>) {
        match name {
            "millstream-topic" => self.topic = text().unwrap_or_default(),
            "millstream-partition" => self.partition = text().and_then(|text| text.parse().ok()),
            "millstream-offset" => self.offset = text().and_then(|text| text.parse().ok()),
            "millstream-function" => self.stamp = text(),
            "millstream-attempts" => self.attempts = text().and_then(|text| text.parse().ok()),
            "millstream-error-class" => self.class = text().unwrap_or_default(),
            "millstream-error-message" => self.message = text().unwrap_or_default(),
            _ => {}
        }
    }

    fn write(self, told: &mut RecordProvenance) {
        told.kind = NodeKind::DeadLetter;
        if let (Some(partition), Some(offset)) = (self.partition, self.offset) {
            told.cause = Some(RecordId::new(&self.topic, partition, offset));
        }
        told.stamp = self.stamp;
        told.attempt = self.attempts;
        told.fault = Some(NodeFault { class: self.class, message: self.message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &[(&str, &str)], value: &str) -> RecordProvenance {
        read(headers.iter().map(|(name, value)| (*name, Some(value.as_bytes()))), Some(value.as_bytes()))
    }

    #[test]
    fn a_binary_event_tells_in_its_headers() {
        let told = told(
            &[
                ("ce_id", "7"),
                ("ce_type", "bid"),
                ("ce_millstreamcause", "bids/0/3"),
                ("ce_millstreamfunction", "place-bid@2"),
                ("ce_millstreamattempt", "3"),
            ],
            "{}",
        );
        assert_eq!((told.id.as_deref(), told.type_.as_deref()), (Some("7"), Some("bid")));
        assert_eq!((told.cause, told.stamp.as_deref()), (Some(RecordId::new("bids", 0, 3)), Some("place-bid@2")));
        assert_eq!((told.attempt, told.kind), (Some(3), NodeKind::Event));
    }

    #[test]
    fn a_structured_event_tells_in_its_body() {
        let body = r#"{"specversion":"1.0","id":"9","type":"t","millstreamcause":"a/1/2","millstreamfunction":"f@1","data":{"id":1}}"#;
        let told = told(&[("Content-Type", "application/cloudevents+json; charset=UTF-8")], body);
        assert_eq!((told.id.as_deref(), told.cause), (Some("9"), Some(RecordId::new("a", 1, 2))));
        assert_eq!(told.attempt, Some(1));
    }

    #[test]
    fn a_dead_letter_is_caused_by_what_was_given_up() {
        let told = told(
            &[
                ("ce_id", "7"),
                ("ce_millstreamcause", "earlier/0/0"),
                ("millstream-error-class", "reject"),
                ("millstream-error-message", "no bid"),
                ("millstream-attempts", "5"),
                ("millstream-function", "place-bid@1"),
                ("millstream-topic", "bids"),
                ("millstream-partition", "1"),
                ("millstream-offset", "8"),
            ],
            "x",
        );
        assert_eq!((told.kind, told.cause), (NodeKind::DeadLetter, Some(RecordId::new("bids", 1, 8))));
        assert_eq!((told.attempt, told.stamp.as_deref()), (Some(5), Some("place-bid@1")));
        assert_eq!(told.fault.unwrap().class, "reject");
    }

    #[test]
    fn what_came_of_a_redriven_letter_is_caused_by_the_letter() {
        let told = told(&[("ce_millstreamcause", "bids/0/1"), ("millstream-redriven", "place-bid.dead/0/4")], "x");
        assert_eq!((told.cause, told.is_redriven), (Some(RecordId::new("place-bid.dead", 0, 4)), true));
    }

    #[test]
    fn a_record_that_tells_nothing_tells_nothing() {
        assert_eq!(told(&[("h", "1")], "{"), RecordProvenance::default());
        let broken = told(&[("content-type", "application/cloudevents+json")], "{");
        assert_eq!(broken, RecordProvenance::default());
    }
}
