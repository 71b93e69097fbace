//! CloudEvents 1.0 in its JSON format and HTTP binding, as hosts, guests and command lines exchange events. The Kafka
//! binding is the business of `consume` and `emit`, which never make an [`Event`] of a record on the hot path.

use std::borrow::Cow;

pub(crate) mod attribute;
pub(crate) mod http;
pub(crate) mod line;
mod place;
pub(crate) mod structured;

/// An event: its attributes and its data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) type_: String,
    pub(crate) subject: Option<String>,
    pub(crate) time: Option<String>,
    pub(crate) datacontenttype: Option<String>,
    pub(crate) dataschema: Option<String>,
    /// Every other attribute, in order.
    pub(crate) extensions: Vec<(String, String)>,
    /// The event's data as bytes.
    pub(crate) data: Option<Cow<'a, [u8]>>,
}

/// Why something that says that it is a CloudEvent can't be read as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotAnEvent(pub String);

/// Checks the attributes that every event has.
pub(crate) fn check_required(version: Option<&str>, id: &str, source: &str, type_: &str) -> Result<(), NotAnEvent> {
    match version {
        Some("1.0") => {}
        Some(other) => return Err(NotAnEvent(format!("specversion {other:?} is not supported, expected \"1.0\""))),
        None => return Err(NotAnEvent("attribute specversion is missing".into())),
    }
    for (name, value) in [("id", id), ("source", source), ("type", type_)] {
        if value.is_empty() {
            return Err(NotAnEvent(format!("required attribute {name} is missing or empty")));
        }
    }
    Ok(())
}
