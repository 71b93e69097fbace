//! What of an emitted event is compared: all of it, except what differs from run to run.

use std::sync::Arc;

use serde_json::Value;

use crate::model::record::{HeaderRef, OwnedHeader};
use crate::model::stamp;

/// An event as it lies in its topic, without what differs from run to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NormalizedEvent {
    pub(crate) topic: Arc<str>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<OwnedHeader>,
    pub(crate) value: Option<Vec<u8>>,
}

/// What came of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ComparedOutcome {
    /// These events, in no order; none as well.
    Emitted(Vec<NormalizedEvent>),
    GivenUp {
        /// The class of the fault.
        class: String,
        message: String,
    },
    /// A filter kept it from the guest.
    Filtered,
}

impl NormalizedEvent {
    /// The shape of a message, without the attributes and headers named `ignore`.
    pub(crate) fn of<'a>(
        topic: &Arc<str>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = HeaderRef<'a>>,
        ignore: &[String],
    ) -> Self {
        let is_ignored = |name: &[u8]| {
            let attribute = name.strip_prefix(b"ce_").unwrap_or(name);
            let is_named = |ignored: &String| ignored.as_bytes() == name || ignored.as_bytes() == attribute;
            stamp::is_of_run(name) || ignore.iter().any(is_named)
        };
        let mut is_structured = false;
        let mut kept: Vec<OwnedHeader> = Vec::new();
        for (name, value) in headers {
            is_structured |= name.eq_ignore_ascii_case(b"content-type") && value.is_some_and(stamp::is_json_event);
            if !is_ignored(name) {
                kept.push((name.to_vec(), value.map(<[u8]>::to_vec)));
            }
        }
        // Those of one name stay in their order.
        kept.sort_by(|(one, _), (other, _)| one.cmp(other));
        let value = match value {
            Some(json) if is_structured => Some(without(json, ignore)),
            other => other.map(<[u8]>::to_vec),
        };
        Self { topic: topic.clone(), key: key.map(<[u8]>::to_vec), headers: kept, value }
    }

    /// About how much memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| 64 + name.len() + value.as_ref().map_or(0, Vec::len)).sum();
        128 + headers + self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// A structured event without what says which run it was.
fn without(json: &[u8], ignore: &[String]) -> Vec<u8> {
    let Ok(Value::Object(mut event)) = serde_json::from_slice(json) else { return json.to_vec() };
    for name in stamp::RUN_ATTRIBUTES.into_iter().chain(ignore.iter().map(String::as_str)) {
        event.remove(name);
    }
    Value::Object(event).to_string().into_bytes()
}

impl ComparedOutcome {
    /// Events, in whatever order they were found.
    pub(crate) fn emitted(mut events: Vec<NormalizedEvent>) -> Self {
        events.sort_unstable();
        Self::Emitted(events)
    }

    /// Whether there is any event.
    pub(crate) fn has_events(&self) -> bool {
        matches!(self, Self::Emitted(events) if !events.is_empty())
    }

    /// About how much memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Emitted(events) => events.iter().map(NormalizedEvent::bytes).sum(),
            Self::GivenUp { class, message } => class.len() + message.len(),
            Self::Filtered => 0,
        }
    }

    /// Whether readers of the outputs see no difference. What a filter keeps away emits nothing; of a fault only the class
    /// counts.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let events = |side: &Self| match side {
            Self::Emitted(events) => Some(events.clone()),
            Self::Filtered => Some(Vec::new()),
            Self::GivenUp { .. } => None,
        };
        match (self, other) {
            (Self::Emitted(one), Self::Emitted(other)) => one == other,
            (Self::GivenUp { class: one, .. }, Self::GivenUp { class: other, .. }) => one == other,
            _ => match (events(self), events(other)) {
                (Some(one), Some(other)) => one == other,
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(value: &str, headers: &[(&str, &str)], ignore: &[&str]) -> NormalizedEvent {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_bytes())));
        let ignore: Vec<String> = ignore.iter().map(|name| (*name).to_owned()).collect();
        NormalizedEvent::of(&"out".into(), Some(b"k"), Some(value.as_bytes()), headers, &ignore)
    }

    #[test]
    fn what_tells_one_run_from_another_is_no_difference() {
        let one = shape("x", &[("ce_id", "1"), ("ce_millstreamfunction", "f@1"), ("traceparent", "a")], &[]);
        let other = shape("x", &[("traceparent", "b"), ("ce_millstreamfunction", "f@2"), ("ce_id", "1")], &[]);
        assert_eq!(one, other);
        assert_ne!(one, shape("y", &[("ce_id", "1")], &[]));
        assert_ne!(one, shape("x", &[("ce_id", "2")], &[]));
        assert_eq!(shape("x", &[("ce_id", "1"), ("ce_time", "now")], &["time"]), shape("x", &[("ce_id", "1")], &[]));
    }

    #[test]
    fn structured_events_are_compared_as_json() {
        let structured = [("content-type", "application/cloudevents+json; charset=UTF-8")];
        let one = shape(r#"{"id":"1","millstreamfunction":"f@1","data":{"a":1,"b":2}}"#, &structured, &["time"]);
        let other =
            shape(r#"{"data":{"b":2,"a":1},"time":"now","millstreamfunction":"f@2","id":"1"}"#, &structured, &["time"]);
        assert_eq!(one, other);
        assert_ne!(one, shape(r#"{"id":"1","data":{"a":1,"b":3}}"#, &structured, &["time"]));
    }

    #[test]
    fn sides_are_the_same_when_readers_see_no_difference() {
        let nothing = ComparedOutcome::emitted(Vec::new());
        let one = ComparedOutcome::emitted(vec![shape("b", &[], &[]), shape("a", &[], &[])]);
        let other = ComparedOutcome::emitted(vec![shape("a", &[], &[]), shape("b", &[], &[])]);
        let given_up =
            |class: &str, message: &str| ComparedOutcome::GivenUp { class: class.into(), message: message.into() };
        assert!(
            one.is_same(&other)
                && ComparedOutcome::Filtered.is_same(&nothing)
                && nothing.is_same(&ComparedOutcome::Filtered)
        );
        assert!(given_up("trap", "a").is_same(&given_up("trap", "b")));
        assert!(!given_up("trap", "a").is_same(&given_up("reject", "a")) && !given_up("trap", "a").is_same(&nothing));
        assert!(!one.is_same(&nothing) && !one.is_same(&ComparedOutcome::Filtered));
    }
}
