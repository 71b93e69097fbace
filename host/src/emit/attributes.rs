//! The attributes of an emitted event: what the guest gave, and what the host fills in.

use std::borrow::Cow;
use std::cell::OnceCell;

use millstream_flat::Emission;

use crate::cloudevents::attribute;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::model::trace_context::{self, SpanContext};
use crate::model::work::RecordRef;

/// The type of an event whose function gave none.
const DEFAULT_TYPE: &str = "dev.millstream.event";

/// Where an emission comes from.
#[derive(Debug)]
pub struct EmissionOrigin<'a> {
    /// The function's name.
    pub function: &'a str,
    /// The `source` of events for which the guest gave none.
    pub source: &'a str,
    /// The record that was handled.
    pub record: &'a RecordRef,
    /// The attempt that emitted: 1 for the first.
    pub attempt: u32,
    /// Its span, where its trace is recorded.
    pub span: Option<SpanContext>,
    /// Counts the emissions of the invocation, from 0.
    pub index: usize,
    /// See [`Self::cause`]: written once for all that a record causes.
    pub cause: OnceCell<String>,
}

impl EmissionOrigin<'_> {
    /// `topic/partition/offset` of the record.
    pub fn cause(&self) -> &str {
        let write = || format!("{}/{}", self.record.chunk.lease.partition, self.record.record().offset);
        self.cause.get_or_init(write)
    }

    /// The same for every attempt, so that a reader can tell a repetition.
    fn id(&self) -> String {
        format!("{}/{}/{}", self.function, self.cause(), self.index)
    }
}

/// The required attributes of an event.
#[derive(Debug)]
pub struct RequiredAttributes<'a> {
    /// `id`.
    pub id: Cow<'a, str>,
    /// `source`.
    pub source: &'a str,
    /// `type`.
    pub type_: &'a str,
}

/// Refuses what no attribute may hold: a reader that trusts CloudEvents might take a line break for more than it is.
pub fn check_values(emission: &Emission<'_>) -> Result<(), GuestFault> {
    for (name, value) in emission.attributes() {
        if let Some(character) = attribute::forbidden(value) {
            let name: String = name.chars().take(40).collect();
            return Err(GuestFault::new(
                FaultClass::InvalidAnswer,
                format!("attribute {name:?} holds {character}; emit it in the data, or encoded"),
            ));
        }
    }
    Ok(())
}

/// What the guest gave, filled up.
pub fn required<'a>(emission: &Emission<'a>, origin: &EmissionOrigin<'a>) -> RequiredAttributes<'a> {
    let given = |value: Option<&'a str>| value.filter(|value| !value.is_empty());
    RequiredAttributes {
        id: given(emission.id()).map_or_else(|| origin.id().into(), Cow::Borrowed),
        source: given(emission.source()).unwrap_or(origin.source),
        type_: given(emission.type_()).unwrap_or(DEFAULT_TYPE),
    }
}

/// Checks an extension's name, and tells whether it is the guest's to set.
pub fn check_extension(name: &str) -> Result<bool, GuestFault> {
    let is_valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !is_valid {
        let name: String = name.chars().take(40).collect();
        return Err(GuestFault::new(
            FaultClass::InvalidAnswer,
            format!("extension attribute {name:?} is not valid: only a-z and 0-9 are allowed (CloudEvents 1.0)"),
        ));
    }
    const OWNED: [&str; 9] =
        ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"];
    Ok(!OWNED.contains(&name) && !name.starts_with("millstream"))
}

/// Whether a Kafka header is the guest's to set.
pub fn is_guests_header(name: &str) -> bool {
    !name.starts_with("ce_")
        && !name.starts_with("millstream-")
        && !name.eq_ignore_ascii_case("content-type")
        && !name.eq_ignore_ascii_case(trace_context::HEADER)
        && !name.eq_ignore_ascii_case(trace_context::STATE)
}
