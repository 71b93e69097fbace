//! CloudEvents 1.0 in its JSON format and HTTP binding, as hosts, guests and command lines exchange events. The Kafka
//! binding is the business of `consume` and `emit`, which never make an [`Event`] of a record on the hot path.

use std::borrow::Cow;

pub mod attribute;
pub mod http;
pub mod line;
mod place;
pub mod structured;

/// An event: its attributes and its data.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event<'a> {
    /// `id`.
    pub id: String,
    /// `source`.
    pub source: String,
    /// `type`.
    pub type_: String,
    /// `subject`.
    pub subject: Option<String>,
    /// `time`.
    pub time: Option<String>,
    /// `datacontenttype`.
    pub datacontenttype: Option<String>,
    /// `dataschema`.
    pub dataschema: Option<String>,
    /// Every other attribute, in order.
    pub extensions: Vec<(String, String)>,
    /// The event's data as bytes.
    pub data: Option<Cow<'a, [u8]>>,
}

/// Why something that says that it is a CloudEvent can't be read as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnEvent(pub String);

/// Checks the attributes that every event has.
pub fn check_required(version: Option<&str>, id: &str, source: &str, type_: &str) -> Result<(), NotAnEvent> {
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
