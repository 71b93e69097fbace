//! `millstream logs`: what a function's guests wrote.

use std::io::{BufRead as _, BufReader, Write};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::api::views::LineView;
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::{FunctionArgs, print_json_line, read_answer};
use crate::cli::progress;
use crate::cli::table::ColorChoice;
use crate::error_code::ErrorCode;
use crate::terminal::escape_for_terminal;

const EXAMPLES: &str = "\
Examples:
  millstream logs enrich-bid --since 10m --level warn
  millstream logs enrich-bid --follow --json | jq -r .line";

/// Longer than anyone follows a log: hosts send a comment every 15 s, so a dead connection is noticed before.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Show the logs of a function on this host
///
/// The last lines that its instances logged, or wrote to stdout and stderr, since the host started.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    function: FunctionArgs,
    /// Continue with new lines as they come
    #[arg(short, long)]
    follow: bool,
    /// The most lines to show
    #[arg(long, value_name = "LINES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only newer lines: an age like 10m, or an RFC 3339 time
    #[arg(long, value_name = "AGE|TIME")]
    since: Option<String>,
    /// Only lines of at least this level: trace, debug, info, warn, error or critical
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
}

/// Prints lines, and follows new ones with `--follow`.
pub(crate) fn run(arguments: &LogsArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = arguments.function.client()?;
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
    let response = client.once(&["logs"], request)?;
    let print = LinePrinter { as_json: arguments.function.output.json, paint: ColorChoice::for_stdout() };
    if !arguments.follow {
        let LoggedLines { lines } = read_answer(client.json_of(response)?)?;
        return lines.into_iter().try_for_each(|line| print.line(line, out));
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

/// The API's `LineList`, whose lines are also printed as they are.
#[derive(Deserialize)]
struct LoggedLines {
    lines: Vec<Value>,
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
            "line" => self.line(data, out)?,
            "missed" => {
                let missed: u64 = read_answer(data)?;
                progress::report(format_args!("{missed} lines were missed: they came faster than they were read"));
            }
            _ => {}
        }
        Ok(out.flush()?)
    }

    fn line(&self, line: Value, out: &mut dyn Write) -> Result<(), VerbFailure> {
        if self.as_json {
            return print_json_line(&line.to_string(), out);
        }
        let LineView { time, level, revision, record, line } = read_answer(line)?;
        let shown = format!("{:<8}", escape_for_terminal(&level));
        let level = match level.as_ref() {
            "error" | "critical" => self.paint.red(&shown),
            "warn" => self.paint.yellow(&shown),
            _ => self.paint.dim(&shown),
        };
        let time = self.paint.dim(&escape_for_terminal(&time));
        let record = record.map(|record| self.paint.dim(&format!(" {}", escape_for_terminal(&record))));
        let record = record.unwrap_or_default();
        Ok(writeln!(out, "{time} {level} @{revision}{record} {}", escape_for_terminal(&line))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    const LINE: &str = r#"{"time":"2026-01-01T00:00:00.000Z","level":"warn","revision":2,"record":"bids/0/7","line":"late \u001b[2J"}"#;

    fn printed(answer: &str, follow: bool, json: bool) -> (String, String) {
        let host = FakeHost::start(vec![CannedAnswer::new(200, answer)]);
        let (mut function, since, level) = (host.function_args("f"), Some("10m".to_owned()), None);
        function.output.json = json;
        let arguments = LogsArgs { function, follow, limit: 5, since, level };
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
