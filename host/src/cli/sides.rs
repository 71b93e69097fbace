//! What came of a record in two ways, as lines of a diff.

use std::io::Write;

use serde_json::Value;

use crate::cli::failure::VerbFailure;
use crate::cli::table::ColorChoice;
use crate::model::stamp;

/// Prints what only one of both sides has: of `expected` with a minus, of `got` with a plus.
pub(crate) fn print(expected: &Value, got: &Value, paint: ColorChoice, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let (expected, got) = (lines(expected), lines(got));
    for line in expected.iter().filter(|line| !got.contains(line)) {
        writeln!(out, "  {}", paint.red(&format!("- {line}")))?;
    }
    for line in got.iter().filter(|line| !expected.contains(line)) {
        writeln!(out, "  {}", paint.green(&format!("+ {line}")))?;
    }
    Ok(())
}

/// A side as lines: what both sides have is no difference.
fn lines(side: &Value) -> Vec<String> {
    let outcome = side["outcome"].as_str().unwrap_or_default();
    if outcome != "emitted" {
        let message = side["message"].as_str().and_then(|message| message.lines().next()).unwrap_or_default();
        return vec![format!("{outcome}  {message}").trim_end().to_owned()];
    }
    let events = side["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    if events.is_empty() {
        return vec!["no event".to_owned()];
    }
    events.iter().map(event).collect()
}

fn event(event: &Value) -> String {
    let shown = |name: &str| {
        let encoded = format!("{name}_base64");
        event[name].as_str().or(event[encoded.as_str()].as_str()).unwrap_or("-").escape_debug().to_string()
    };
    let headers = event["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let header = |header: &Value| {
        let value = header["value"].as_str().or(header["value_base64"].as_str()).unwrap_or("-");
        // Their form is always the same, and their cause is in the line above.
        let name = header["name"].as_str().filter(|name| !["ce_specversion", stamp::CAUSE_HEADER].contains(name))?;
        Some(format!("{name}={}", value.escape_debug()))
    };
    let headers: Vec<String> = headers.iter().filter_map(header).collect();
    let topic = event["topic"].as_str().unwrap_or_default();
    format!("{topic}  key={}  {}  {}", shown("key"), headers.join(" "), shown("value"))
}
