//! Calls a function of a host.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use crate::api::views::{Emission, Invocation};
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::{FunctionClient, print_json, read_answer};
use crate::cli::invoke::print::readable;
use crate::cli::invoke::{InvokeArgs, input};
use crate::cli::progress;
use crate::cli::table::json_name;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;
use crate::terminal::escape_for_terminal;

/// Calls `name` and prints what it answers.
pub(crate) fn run(name: &FunctionName, arguments: &InvokeArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = FunctionClient::new(&arguments.output.host, name)?;
    let record = arguments.input.record()?;
    let publish = [("publish", arguments.publish)];
    // Once: a call that is repeated may be one more.
    let response = client.once(&["invoke"], |http, url| input::body(http.post(url).query(&publish), &record))?;
    let answer = client.json_of(response)?;
    let Invocation { outcome, message, emissions, start, duration_ms, revision, logs, .. } =
        read_answer(answer.clone())?;
    for line in &logs {
        let (level, line) = (escape_for_terminal(&line.level), escape_for_terminal(&line.line));
        progress::report(format_args!("{level}: {line}"));
    }
    if arguments.output.json {
        print_json(&answer, out)?;
    }
    if outcome != "emitted" {
        let failure = format!("{outcome}: {}", message.unwrap_or_default());
        return Err(VerbFailure::new(ErrorCode::InvocationFailed, failure));
    }
    if !arguments.output.json {
        emissions.iter().try_for_each(|emission| print(emission, out))?;
    }
    let start = start.map_or_else(|| "no".to_owned(), |start| json_name(&start));
    let count = emissions.len();
    progress::report(format_args!("{count} emitted in {duration_ms} ms by revision {revision}, after a {start} start"));
    Ok(())
}

fn print(emission: &Emission, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let line = escape_for_terminal;
    let Emission { output, topic, key, key_base64, event, headers, written } = emission;
    let key = key.as_deref().or(key_base64.as_deref());
    let key = key.map(|key| format!("  key={}", line(key))).unwrap_or_default();
    let written = written.map(|at| format!("  {}/{}/{}", line(topic), at.partition, at.offset)).unwrap_or_default();
    writeln!(out, "{}{key}{written}", line(output))?;
    let mut event: Map<String, Value> = serde_json::from_str(event.get())
        .map_err(|error| VerbFailure::new(ErrorCode::UnexpectedAnswer, format!("an event: {error}")))?;
    let (data, base64) = (event.remove("data"), event.remove("data_base64"));
    for (name, value) in &event {
        writeln!(out, "  {}: {}", line(name), text(value))?;
    }
    for header in headers {
        let value = header.value.as_deref().or(header.value_base64.as_deref()).unwrap_or_default();
        writeln!(out, "  header {}: {}", line(&header.name), line(value))?;
    }
    let data = match (data, base64) {
        (Some(data), _) => text(&data),
        (None, Some(encoded)) => readable(&BASE64.decode(encoded.as_str().unwrap_or_default()).unwrap_or_default()),
        (None, None) => "(no data)".to_owned(),
    };
    Ok(writeln!(out, "  {data}")?)
}

/// Texts as they are, everything else as JSON, and both escaped.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape_for_terminal(text).into_owned(),
        other => escape_for_terminal(&other.to_string()).into_owned(),
    }
}
