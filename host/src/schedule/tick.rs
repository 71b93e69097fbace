//! What a schedule writes: an event that says for when it is.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use crate::model::ids::FunctionName;
use crate::model::schedule::TICK_TYPE;

/// A tick as a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TickRecord {
    /// A CloudEvent in binary mode.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) value: Vec<u8>,
}

impl TickRecord {
    /// The tick for a time that is due: milliseconds since the Unix epoch. The same time has the same id.
    pub(crate) fn scheduled(name: &FunctionName, at_ms: i64) -> Self {
        let at = moment(at_ms);
        Self::new(name, &format!("{name}/{at}"), &at, "schedule")
    }

    /// A tick that someone wants now; `number` distinguishes it from others.
    pub(crate) fn by_hand(name: &FunctionName, at_ms: i64, number: u64) -> Self {
        let at = moment(at_ms);
        Self::new(name, &format!("{name}/{at}/{number}"), &at, "hand")
    }

    fn new(name: &FunctionName, id: &str, at: &str, by: &str) -> Self {
        let source = format!("/millstream/functions/{name}/schedule");
        let headers = [
            ("ce_specversion", "1.0"),
            ("ce_id", id),
            ("ce_source", &source),
            ("ce_type", TICK_TYPE),
            ("ce_time", at),
            ("content-type", "application/json"),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        Self { headers: headers.collect(), value: json!({ "due": at, "by": by }).to_string().into_bytes() }
    }
}

fn moment(unix_ms: i64) -> String {
    let since_epoch = Duration::from_millis(u64::try_from(unix_ms).unwrap_or_default());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since_epoch).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_says_for_when_it_is() {
        let name = FunctionName::new("mill").unwrap();
        let tick = TickRecord::scheduled(&name, 1_500);
        assert_eq!(tick.value, br#"{"by":"schedule","due":"1970-01-01T00:00:01.500Z"}"#);
        let id = |tick: &TickRecord| tick.headers.iter().find(|(name, _)| name == "ce_id").map(|(_, id)| id.clone());
        assert_eq!(id(&tick), id(&TickRecord::scheduled(&name, 1_500)));
        assert_ne!(id(&TickRecord::by_hand(&name, 1_500, 1)), id(&TickRecord::by_hand(&name, 1_500, 2)));
    }
}
