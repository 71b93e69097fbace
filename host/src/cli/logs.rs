//! `millstream logs`: what a function's guests wrote.

use std::io::{BufRead as _, BufReader, IsTerminal, Write};
use std::time::Duration;

use serde_json::Value;

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::cli::invoke::print::printable;
use crate::cli::table::ColorChoice;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;

const EXAMPLES: &str = "\
Examples:
  millstream logs enrich-bid --since 10m --level warn
  millstream logs enrich-bid --follow --json | jq -r .line";

/// Nobody waits longer for the next line: hosts say every 15 s that they are still there, at the next line this ends.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Show what a function wrote on this host
///
/// The last lines that its guests logged, or wrote to stdout and stderr, since the host started.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LogsArgs {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    name: FunctionName,
    /// Go on with the lines to come
    #[arg(short, long)]
    follow: bool,
    /// At most so many lines
    #[arg(long, value_name = "LINES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only younger lines: an age such as 10m, or a time by RFC 3339
    #[arg(long, value_name = "AGE|TIME")]
    since: Option<String>,
    /// Only lines that are as important: trace, debug, info, warn, error or critical
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    #[command(flatten)]
    host: HostArguments,
    /// Print each line as JSON
    #[arg(long)]
    json: bool,
}

/// Prints lines, and goes on with those to come when it is asked to.
pub(crate) fn run(arguments: &LogsArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let path = ["v1", "functions", arguments.name.as_str(), "logs"];
    let mut query = vec![("limit", arguments.limit.to_string())];
    query.extend(arguments.since.iter().map(|since| ("since", since.clone())));
    query.extend(arguments.level.iter().map(|level| ("level", level.clone())));
    if arguments.follow {
        query.push(("follow", "true".to_owned()));
    }
    let request = |http: &reqwest::blocking::Client, url| {
        let request = http.get(url).query(&query);
        if arguments.follow { request.timeout(FOLLOW_TIMEOUT) } else { request }
    };
    let response = client.once(&path, request).map_err(|failure| client.with_suggestion(failure, &arguments.name))?;
    let print =
        LinePrinter { as_json: arguments.json, paint: ColorChoice::for_stream(std::io::stdout().is_terminal()) };
    if !arguments.follow {
        let answer = client.json_of(response)?;
        return answer["lines"].as_array().into_iter().flatten().try_for_each(|line| print.line(line, out));
    }
    // Server-sent events: a field a line, an empty line after each event.
    let mut event = String::new();
    for text in BufReader::new(response).lines() {
        let text = text.map_err(|error| client.broken_off(&error))?;
        if let Some(name) = text.strip_prefix("event:") {
            name.trim().clone_into(&mut event);
        } else if let Some(data) = text.strip_prefix("data:") {
            print.event(&event, data.trim(), out)?;
        }
    }
    Ok(())
}

struct LinePrinter {
    as_json: bool,
    paint: ColorChoice,
}

impl LinePrinter {
    fn event(&self, event: &str, data: &str, out: &mut dyn Write) -> Result<(), VerbFailure> {
        let data: Value = serde_json::from_str(data)
            .map_err(|error| VerbFailure::new(ErrorCode::UnexpectedAnswer, error.to_string()))?;
        match event {
            "line" => self.line(&data, out)?,
            "missed" => crate::cli::progress::tell(format_args!(
                "{data} lines were missed: they came faster than they were read"
            )),
            _ => {}
        }
        Ok(out.flush()?)
    }

    fn line(&self, line: &Value, out: &mut dyn Write) -> Result<(), VerbFailure> {
        if self.as_json {
            return Ok(writeln!(out, "{line}")?);
        }
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        let level = format!("{:<8}", text("level"));
        let level = match text("level") {
            "error" | "critical" => self.paint.red(&level),
            "warn" => self.paint.yellow(&level),
            _ => self.paint.dim(&level),
        };
        let written = printable(text("line"));
        let record = match text("record") {
            "" => String::new(),
            record => self.paint.dim(&format!(" {}", printable(record))),
        };
        Ok(writeln!(out, "{} {level} @{}{record} {written}", self.paint.dim(text("time")), line["revision"])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    const LINE: &str = r#"{"time":"2026-01-01T00:00:00.000Z","level":"warn","revision":2,"record":"bids/0/7","line":"late \u001b[2J"}"#;

    fn printed(answer: &str, follow: bool, json: bool) -> (String, String) {
        let host = FakeHost::start(vec![CannedAnswer::new(200, answer)]);
        let (name, since, level) = (FunctionName::new("f").unwrap(), Some("10m".to_owned()), None);
        let arguments = LogsArgs { name, follow, limit: 5, since, level, host: host.arguments(), json };
        let mut out = Vec::new();
        run(&arguments, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), host.requests()[0].line.clone())
    }

    #[test]
    fn lines_are_shown_to_people_and_scripts() {
        let answer = format!("{{\"lines\":[{LINE}]}}");
        let (shown, asked) = printed(&answer, false, false);
        assert_eq!(shown, "2026-01-01T00:00:00.000Z warn     @2 bids/0/7 late \\u{1b}[2J\n");
        assert_eq!(asked, "GET /v1/functions/f/logs?limit=5&since=10m HTTP/1.1");
        let (shown, _) = printed(&answer, false, true);
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["revision"], 2);
    }

    #[test]
    fn a_stream_is_followed_to_its_end() {
        let stream = format!(": still here\n\nid: 1\nevent: line\ndata: {LINE}\n\nevent: missed\ndata: 3\n\n");
        let (shown, asked) = printed(&stream, true, false);
        assert_eq!(shown.lines().count(), 1, "{shown}");
        assert!(asked.contains("follow=true"), "{asked}");
    }
}
