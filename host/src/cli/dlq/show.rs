//! `millstream dlq show`.

use std::io::Write;

use serde_json::Value;

use crate::cli::dlq::{RecordId, place};
use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::model::ids::FunctionName;

const EXAMPLES: &str = "\
Examples:
  millstream dlq show place-bid 0/12
  millstream dlq show place-bid 0/12 --value > value.json";

/// Show a dead letter: why its record was given up, and the record
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DlqShowArgs {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    name: FunctionName,
    /// The dead letter's place, as `dlq list` shows it
    #[arg(value_name = "PARTITION/OFFSET", value_parser = place)]
    place: RecordId,
    /// Print the record's value alone, as it is
    #[arg(long, conflicts_with = "json")]
    value: bool,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as it is
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &DlqShowArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let RecordId { partition, offset } = arguments.place;
    let (partition, offset) = (partition.to_string(), offset.to_string());
    let path = ["v1", "functions", arguments.name.as_str(), "dead-letters", &partition, &offset];
    let answer = client.get(&path).map_err(|failure| client.with_suggestion(failure, &arguments.name))?;
    match (arguments.json, arguments.value) {
        (true, _) => Ok(writeln!(out, "{answer:#}")?),
        (_, true) => Ok(out.write_all(&value(&answer))?),
        _ => print(&answer, out),
    }
}

fn value(letter: &Value) -> Vec<u8> {
    use base64::Engine as _;
    match (letter["value"].as_str(), letter["value_base64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(encoded)) => base64::prelude::BASE64_STANDARD.decode(encoded).unwrap_or_default(),
        (None, None) => Vec::new(),
    }
}

fn print(letter: &Value, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let source = &letter["source"];
    let record = format!("{}/{}/{}", text(&source["topic"]), source["partition"], source["offset"]);
    writeln!(out, "{} after {} attempts by {}", text(&letter["class"]), letter["attempts"], text(&letter["function"]))?;
    writeln!(out, "  written   {}", text(&letter["time"]))?;
    writeln!(out, "  record    {record}  {}", text(&source["time"]))?;
    if let Some(from) = letter["redriven_from"].as_str() {
        writeln!(out, "  was       {from}, which was handled again")?;
    }
    if let Some(outcome) = letter["redriven"]["outcome"].as_str() {
        let mark = &letter["redriven"];
        writeln!(out, "  redriven  {outcome} by {} at {}", text(&mark["by"]), text(&mark["at"]))?;
    }
    writeln!(out)?;
    for line in text(&letter["message"]).lines() {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)?;
    let shown = |value: &Value, encoded: &Value| match (value.as_str(), encoded.as_str()) {
        (Some(value), _) => value.to_owned(),
        (None, Some(encoded)) => format!("{encoded} (base64)"),
        (None, None) => "-".to_owned(),
    };
    writeln!(out, "key: {}", shown(&letter["key"], &letter["key_base64"]).escape_debug())?;
    for header in letter["headers"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let value = shown(&header["value"], &header["value_base64"]);
        writeln!(out, "{}: {}", text(&header["name"]).escape_debug(), value.escape_debug())?;
    }
    writeln!(out)?;
    if letter["value_truncated"] == true {
        return Ok(writeln!(out, "the value was too large for the dead letter topic; it is in {record}")?);
    }
    Ok(writeln!(out, "{}", shown(&letter["value"], &letter["value_base64"]))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn a_dead_letter_is_shown_with_its_record() {
        let answer = r#"{"partition":0,"offset":9,"time":"now","key":"a","class":"trap","message":"told to panic","attempts":3,
            "function":"f@1","source":{"topic":"in","partition":2,"offset":7,"time":"then"},"value_truncated":false,
            "value":"{\"a\":1}","headers":[{"name":"color","value":"red"},{"name":"raw","value_base64":"/w=="}]}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(200, answer), CannedAnswer::new(200, answer)]);
        let arguments = |value| DlqShowArgs {
            name: FunctionName::new("f").unwrap(),
            place: place("0/9").unwrap(),
            value,
            host: host.arguments(),
            json: false,
        };
        let mut out = Vec::new();
        run(&arguments(false), &mut out).unwrap();
        let printed = String::from_utf8(std::mem::take(&mut out)).unwrap();
        for line in
            ["trap after 3 attempts by f@1", "in/2/7", "told to panic", "color: red", "raw: /w== (base64)", "{\"a\":1}"]
        {
            assert!(printed.contains(line), "{line}: {printed}");
        }
        run(&arguments(true), &mut out).unwrap();
        assert_eq!(out, br#"{"a":1}"#);
        assert_eq!(host.requests()[0].line, "GET /v1/functions/f/dead-letters/0/9 HTTP/1.1");
        assert!(place("0").is_err() && place("-1/2").is_err() && place("0/x").is_err());
    }
}
