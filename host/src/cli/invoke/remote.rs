//! Calls a function of a host.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::HostClient;
use crate::cli::invoke::print::{printable, readable};
use crate::cli::invoke::{InvokeArgs, input};
use crate::cli::progress;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;

/// Calls `name` and prints what it answers.
pub(crate) fn run(name: &FunctionName, arguments: &InvokeArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let record = arguments.input.record()?;
    let publish = [("publish", arguments.publish)];
    let path = ["v1", "functions", name.as_str(), "invoke"];
    // Once: a call that is made again may be one more.
    let response = client
        .once(&path, |http, url| input::body(http.post(url).query(&publish), &record))
        .map_err(|failure| client.with_suggestion(failure, name))?;
    let answer = client.json_of(response)?;
    for line in answer["logs"].as_array().into_iter().flatten() {
        progress::tell(format_args!("{}: {}", text(&line["level"]), text(&line["line"])));
    }
    if arguments.json {
        writeln!(out, "{answer:#}")?;
    }
    let outcome = text(&answer["outcome"]);
    if outcome != "emitted" {
        return Err(VerbFailure::new(ErrorCode::InvocationFailed, format!("{outcome}: {}", text(&answer["message"]))));
    }
    let emissions = answer["emissions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !arguments.json {
        emissions.iter().try_for_each(|emission| print(emission, out))?;
    }
    let start = answer["start"].as_str().unwrap_or("no");
    let (count, took) = (emissions.len(), &answer["duration_ms"]);
    progress::tell(format_args!(
        "{count} emitted in {took} ms by revision {}, after a {start} start",
        answer["revision"]
    ));
    Ok(())
}

fn print(emission: &Value, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let key = ["key", "key_base64"].iter().find_map(|name| emission[*name].as_str());
    let key = key.map(|key| format!("  key={}", printable(key))).unwrap_or_default();
    let written = &emission["written"];
    let written = match written.is_object() {
        true => format!("  {}/{}/{}", text(&emission["topic"]), written["partition"], written["offset"]),
        false => String::new(),
    };
    writeln!(out, "{}{key}{written}", text(&emission["output"]))?;
    let event = emission["event"].as_object().into_iter().flatten();
    let is_data = |name: &str| matches!(name, "data" | "data_base64");
    let (data, attributes): (Vec<_>, Vec<_>) = event.partition(|(name, _)| is_data(name));
    for (name, value) in attributes {
        writeln!(out, "  {}: {}", printable(name), text(value))?;
    }
    for header in emission["headers"].as_array().into_iter().flatten() {
        let value = ["value", "value_base64"].iter().find_map(|name| header[*name].as_str());
        writeln!(out, "  header {}: {}", text(&header["name"]), printable(value.unwrap_or_default()))?;
    }
    match data.first() {
        Some((name, value)) if *name == "data_base64" => {
            let bytes = BASE64.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
            writeln!(out, "  {}", readable(&bytes))?;
        }
        Some((_, value)) => writeln!(out, "  {}", text(value))?,
        None => writeln!(out, "  (no data)")?,
    }
    Ok(())
}

/// Texts as they are, everything else as JSON, and nothing that could play with a terminal.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    }
}
