//! Dead letters as JSON shows them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::functions::view::moment;
use crate::api::invoke::view::bytes;
use crate::model::ids::FunctionName;
use crate::redrive::{DeadLetter, LetterOutcome, LetterPage, LetterResult, RedriveMark, RedriveReport};

/// The longest text of an error in a list, in characters.
const LONGEST_IN_LIST: usize = 300;

/// Dead letters, the newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LetterList {
    #[schema(value_type = String)]
    pub(crate) name: FunctionName,
    pub(crate) topic: String,
    pub(crate) letters: Vec<LetterView>,
    /// Where older ones are, for `from`; nothing when these are the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) older: Option<String>,
}

/// A dead letter.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LetterView {
    /// Its partition in the dead letter topic.
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// When it was written, by RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
    /// The record's key, where it is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The record's key in base64, where it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_base64: Option<String>,
    /// The size of the record's value; nothing for a tombstone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value_bytes: Option<usize>,
    /// Whether the value is not here, because it was too large.
    pub(crate) value_truncated: bool,
    /// The class of the fault, such as `trap`.
    pub(crate) class: String,
    /// What happened; in a list its beginning.
    pub(crate) message: String,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// `name@revision` of what gave it up.
    pub(crate) function: String,
    pub(crate) source: SourceView,
    /// What became of it when it was handled again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redriven: Option<MarkView>,
    /// The dead letter that was handled again and became this one: `topic/partition/offset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redriven_from: Option<String>,
}

/// Where a record lay.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SourceView {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Its timestamp, by RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
}

/// What became of a dead letter that was handled again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct MarkView {
    /// When, by RFC 3339.
    pub(crate) at: String,
    /// `name@revision` of what handled it.
    pub(crate) by: String,
    /// `emitted`, or the class of the fault with which it became a dead letter again.
    pub(crate) outcome: String,
    /// How many events were emitted.
    pub(crate) emitted: u64,
}

/// A dead letter with its record.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LetterAlone {
    #[serde(flatten)]
    pub(crate) letter: LetterView,
    /// The record's value, where it is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    /// The record's value in base64, where it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value_base64: Option<String>,
    /// The record's headers, in order.
    pub(crate) headers: Vec<HeaderView>,
}

/// A header of a record.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct HeaderView {
    /// The name. Bytes of it that are not UTF-8 are written as `\xff`.
    pub(crate) name: String,
    /// The name in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value_base64: Option<String>,
}

/// What became of dead letters that were to be handled again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RedriveAnswer {
    #[schema(value_type = String)]
    pub(crate) name: FunctionName,
    /// The revision that handled them.
    pub(crate) revision: u64,
    /// How many led to what the function emits.
    pub(crate) emitted: usize,
    /// How many are dead letters again.
    pub(crate) failed: usize,
    /// How many were handled again before, or could not be handled.
    pub(crate) passed_over: usize,
    pub(crate) results: Vec<RedriveResult>,
    /// What is left of all of them, for the next request; nothing when it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left: Option<String>,
}

/// What became of one dead letter.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RedriveResult {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// `emitted`; the class of the fault with which it is a dead letter again; `redriven` when it was handled again before;
    /// `not-done` when it stays as it is.
    pub(crate) outcome: String,
    /// How many events were emitted.
    pub(crate) emitted: usize,
    /// What happened, when it is not `emitted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

impl LetterList {
    pub(crate) fn new(name: FunctionName, page: LetterPage) -> Self {
        let letters = page.letters.into_iter().map(|(letter, mark)| {
            let mut view = LetterView::new(&letter, mark);
            view.message = view.message.chars().take(LONGEST_IN_LIST).collect();
            view
        });
        Self {
            name,
            topic: page.topic.to_string(),
            letters: letters.collect(),
            older: page.older.map(|bounds| bounds.to_string()),
        }
    }
}

impl LetterView {
    fn new(letter: &DeadLetter, mark: Option<RedriveMark>) -> Self {
        let (key, key_base64) = bytes(letter.key.as_deref());
        let source = &letter.source;
        Self {
            partition: letter.partition.partition,
            offset: letter.offset,
            time: letter.written_ms.and_then(time),
            key,
            key_base64,
            value_bytes: letter.value.as_ref().map(Vec::len),
            value_truncated: letter.is_truncated,
            class: letter.class.clone(),
            message: letter.message.clone(),
            attempts: letter.attempts,
            function: letter.function.clone(),
            source: SourceView {
                topic: source.partition.topic.to_string(),
                partition: source.partition.partition,
                offset: source.offset,
                time: source.timestamp_ms.and_then(time),
            },
            redriven: mark.map(|mark| MarkView {
                at: moment(mark.at_ms),
                by: mark.by,
                outcome: mark.outcome,
                emitted: mark.emitted,
            }),
            redriven_from: letter.redriven.as_ref().map(ToString::to_string),
        }
    }
}

impl LetterAlone {
    pub(crate) fn new(letter: &DeadLetter, mark: Option<RedriveMark>) -> Self {
        let (value, value_base64) = bytes(letter.value.as_deref());
        let headers = letter.headers.iter().map(|(name, value)| HeaderView::new(name, value.as_deref()));
        Self { letter: LetterView::new(letter, mark), value, value_base64, headers: headers.collect() }
    }
}

impl HeaderView {
    pub(crate) fn new(name: &[u8], value: Option<&[u8]>) -> Self {
        let (value, value_base64) = bytes(value);
        let (name, name_base64) = match std::str::from_utf8(name) {
            Ok(name) => (name.to_owned(), None),
            Err(_) => (escaped(name), Some(BASE64.encode(name))),
        };
        Self { name, name_base64, value, value_base64 }
    }
}

impl RedriveAnswer {
    pub(crate) fn new(name: FunctionName, redriven: RedriveReport) -> Self {
        let RedriveReport { by, outcomes, left } = redriven;
        let count = |is_it: fn(&LetterResult) -> bool| outcomes.iter().filter(|outcome| is_it(&outcome.what)).count();
        let emitted = count(|what| matches!(what, LetterResult::Emitted(_)));
        let failed = count(|what| matches!(what, LetterResult::GivenUp(_)));
        Self {
            name,
            revision: by.number.0,
            emitted,
            failed,
            passed_over: outcomes.len() - emitted - failed,
            results: outcomes.into_iter().map(RedriveResult::new).collect(),
            left: left.map(|parts| parts.to_string()),
        }
    }
}

impl RedriveResult {
    fn new(outcome: LetterOutcome) -> Self {
        let LetterOutcome { partition, offset, what } = outcome;
        let (outcome, emitted, message) = match what {
            LetterResult::Emitted(emitted) => ("emitted".to_owned(), emitted, None),
            LetterResult::GivenUp(fault) => (fault.class.as_str().to_owned(), 0, Some(fault.message)),
            LetterResult::Before(mark) => {
                let what = format!("handled again by {} at {}: {}", mark.by, moment(mark.at_ms), mark.outcome);
                ("redriven".to_owned(), 0, Some(what))
            }
            LetterResult::Not(reason) => ("not-done".to_owned(), 0, Some(reason)),
        };
        Self { partition, offset, outcome, emitted, message }
    }
}

/// A name, with its bytes that are not UTF-8 as `\xff`.
fn escaped(name: &[u8]) -> String {
    let mut escaped = String::new();
    for chunk in name.utf8_chunks() {
        escaped.push_str(chunk.valid());
        escaped.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    escaped
}

fn time(millis: i64) -> Option<String> {
    u64::try_from(millis).ok().map(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_utf8_are_escaped_and_given_as_they_are() {
        let json = |name: &[u8]| serde_json::to_value(HeaderView::new(name, Some(b"1"))).unwrap();
        assert_eq!(json("café".as_bytes()), serde_json::json!({ "name": "café", "value": "1" }));
        assert_eq!(
            json(b"caf\xe9!"),
            serde_json::json!({ "name": "caf\\xe9!", "name_base64": "Y2Fm6SE=", "value": "1" })
        );
    }
}
