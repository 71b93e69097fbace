//! The outcome of an invocation, for people and for scripts.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use millstream_flat::{Emission, Emissions};
use serde_json::{Map, Value, json};

use crate::app::local::single_call::CallReport;
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::print_json;
use crate::cli::invoke::input::InputRecord;
use crate::cli::progress;
use crate::emit::attributes::check_extension;
use crate::error_code::ErrorCode;
use crate::invoke::call;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::terminal::escape_for_terminal;

/// The emissions, if a host would accept them. `outputs` are the manifest's; without a manifest any output is allowed.
pub(crate) fn judge<'a>(
    called: &'a CallReport,
    outputs: Option<&BTreeSet<String>>,
    output_limit: u64,
) -> Result<Emissions<'a>, GuestFault> {
    let bytes = called.answer.as_ref().map_err(Clone::clone)?;
    // One record has one verdict.
    let verdict = call::read(bytes, 1)?.verdicts().next();
    let emissions = verdict
        .map_or_else(|| Err(GuestFault::new(FaultClass::InvalidAnswer, "the function gave no verdict")), call::judge)?;
    if emissions.bytes() as u64 > output_limit {
        let message = format!("{} bytes were emitted, limits.output allows {output_limit}", emissions.bytes());
        return Err(GuestFault::new(FaultClass::OutputLimit, message));
    }
    let is_unknown = |name: &str| outputs.is_some_and(|outputs| !outputs.contains(name));
    match emissions.iter().find(|emission| is_unknown(emission.output())) {
        Some(emission) => {
            let message = format!("the manifest has no output \"{}\"", emission.output());
            Err(GuestFault::new(FaultClass::UnknownOutput, message))
        }
        None => Ok(emissions),
    }
}

/// Prints the outcome: the result to `out`, the rest as progress or failure.
pub(crate) fn print(
    called: &CallReport,
    outcome: Result<Emissions<'_>, GuestFault>,
    record: &InputRecord,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<(), VerbFailure> {
    if as_json {
        print_json(&json_of(called, &outcome, record), out)?;
    }
    let emissions = outcome.map_err(|fault| VerbFailure::new(ErrorCode::InvocationFailed, fault.to_string()))?;
    if !as_json {
        for emission in emissions.iter() {
            print_for_people(&emission, record, out)?;
        }
    }
    let (start, call) = (milliseconds(called.start), milliseconds(called.call));
    progress::report(format_args!(
        "{} emitted in {call} ms, after a cold start of {start} ms, with {} KiB of memory",
        emissions.len(),
        called.memory_bytes / 1024
    ));
    Ok(())
}

fn print_for_people(emission: &Emission<'_>, record: &InputRecord, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let key =
        emission.record_key(record.key.as_deref()).map(|key| format!("  key={}", readable(key))).unwrap_or_default();
    writeln!(out, "{}{key}", printable(emission.output()))?;
    for (name, value) in attributes_of(emission) {
        writeln!(out, "  {}: {}", printable(name), printable(value))?;
    }
    for (name, value) in emission.headers() {
        writeln!(out, "  header {}: {}", printable(name), value.map(readable).unwrap_or_default())?;
    }
    Ok(writeln!(out, "  {}", emission.data().map_or_else(|| "(no data)".to_owned(), readable))?)
}

fn json_of(called: &CallReport, outcome: &Result<Emissions<'_>, GuestFault>, record: &InputRecord) -> Value {
    let mut object = Map::new();
    match outcome {
        Ok(emissions) => {
            object.insert("outcome".to_owned(), json!("emitted"));
            let events: Vec<Value> = emissions.iter().map(|emission| event_json(&emission, record)).collect();
            object.insert("events".to_owned(), json!(events));
        }
        Err(fault) => {
            object.insert("outcome".to_owned(), json!(fault.class.as_str()));
            object.insert("message".to_owned(), json!(fault.message));
            if let Some(after) = fault.retry_after {
                object.insert("retry_after_ms".to_owned(), json!(milliseconds(after)));
            }
        }
    }
    object.insert("cold_start_ms".to_owned(), json!(milliseconds(called.start)));
    object.insert("call_ms".to_owned(), json!(milliseconds(called.call)));
    object.insert("memory_bytes".to_owned(), json!(called.memory_bytes));
    Value::Object(object)
}

fn event_json(emission: &Emission<'_>, record: &InputRecord) -> Value {
    let attributes: Map<String, Value> =
        attributes_of(emission).map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let headers: Vec<Value> = emission
        .headers()
        .map(|(name, value)| {
            let mut header = Map::from_iter([("name".to_owned(), json!(name))]);
            insert_bytes(&mut header, "value", value);
            Value::Object(header)
        })
        .collect();
    let mut event = Map::new();
    event.insert("output".to_owned(), json!(emission.output()));
    insert_bytes(&mut event, "key", emission.record_key(record.key.as_deref()));
    event.insert("attributes".to_owned(), Value::Object(attributes));
    event.insert("headers".to_owned(), json!(headers));
    match declared_json(emission) {
        Some(data) => {
            event.insert("data".to_owned(), data);
        }
        None => insert_bytes(&mut event, "data", emission.data()),
    }
    Value::Object(event)
}

/// Bytes as text if they are UTF-8, else as `<name>_base64`.
fn insert_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else { return };
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), json!(text)),
        Err(_) => object.insert(format!("{name}_base64"), json!(BASE64.encode(bytes))),
    };
}

/// The data as JSON, if its media type is JSON.
fn declared_json(emission: &Emission<'_>) -> Option<Value> {
    let media_type = emission.datacontenttype()?.split(';').next()?.trim().to_ascii_lowercase();
    let is_json = media_type == "application/json" || media_type.ends_with("+json");
    if is_json { serde_json::from_slice(emission.data()?).ok() } else { None }
}

/// The attributes that the guest set and a host keeps; a host adds those that are missing.
fn attributes_of<'a>(emission: &Emission<'a>) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let extensions = emission.extensions().filter(|(name, _)| check_extension(name) != Ok(false));
    emission.core_attributes().chain(extensions)
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

pub(crate) fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => printable(text),
        Err(_) => format!("base64:{}", BASE64.encode(bytes)),
    }
}

pub(crate) fn printable(text: &str) -> String {
    escape_for_terminal(text).into_owned()
}
