//! The attributes of an emitted event: what the guest gave, and what the host fills in.

use std::borrow::Cow;
use std::cell::OnceCell;

use millstream_flat::Emission;

use crate::cloudevents::attribute;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::model::stamp::{self, EventStamp};
use crate::model::trace_context::SpanContext;
use crate::model::work::RecordRef;

/// The type of an event whose function gave none.
const DEFAULT_TYPE: &str = "dev.millstream.event";

/// Where an emission comes from.
#[derive(Debug)]
pub(crate) struct EmissionOrigin<'a> {
    pub(crate) function: &'a str,
    /// The `source` of events for which the guest gave none.
    pub(crate) source: &'a str,
    /// The record that was handled.
    pub(crate) record: &'a RecordRef,
    /// The attempt that emitted: 1 for the first.
    pub(crate) attempt: u32,
    /// Its span, where its trace is recorded.
    pub(crate) span: Option<SpanContext>,
    /// Counts the emissions of the invocation, from 0.
    pub(crate) index: usize,
    /// See [`Self::cause`]: written once for all that a record causes.
    pub(crate) cause: OnceCell<String>,
}

impl EmissionOrigin<'_> {
    pub(crate) fn cause(&self) -> &str {
        let write = || format!("{}/{}", self.record.chunk.lease.partition, self.record.record().offset);
        self.cause.get_or_init(write)
    }

    /// What the event says of it; `function` is `name@revision`.
    pub(crate) fn stamp<'a>(&'a self, function: &'a str) -> EventStamp<'a> {
        EventStamp { cause: self.cause(), function, attempt: self.attempt }
    }

    /// The same for every attempt, so that a reader recognizes a repetition.
    fn id(&self) -> String {
        format!("{}/{}/{}", self.function, self.cause(), self.index)
    }
}

/// The required attributes of an event.
#[derive(Debug)]
pub(crate) struct RequiredAttributes<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) source: &'a str,
    pub(crate) type_: &'a str,
}

/// Refuses what no attribute may hold: a reader that trusts CloudEvents might take a line break for more than it is.
pub(crate) fn check_values(emission: &Emission<'_>) -> Result<(), GuestFault> {
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
pub(crate) fn required<'a>(emission: &Emission<'a>, origin: &EmissionOrigin<'a>) -> RequiredAttributes<'a> {
    let given = |value: Option<&'a str>| value.filter(|value| !value.is_empty());
    RequiredAttributes {
        id: given(emission.id()).map_or_else(|| origin.id().into(), Cow::Borrowed),
        source: given(emission.source()).unwrap_or(origin.source),
        type_: given(emission.type_()).unwrap_or(DEFAULT_TYPE),
    }
}

/// Checks an extension's name, and returns whether it is the guest's to set.
pub(crate) fn check_extension(name: &str) -> Result<bool, GuestFault> {
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
    Ok(!OWNED.contains(&name) && !stamp::is_reserved_attribute(name))
}
