//! `millstream dlq list`.

use std::io::Write;

use serde_json::Value;

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::cli::progress;
use crate::cli::table::{self, CellAlign, ColorChoice};
use crate::model::ids::FunctionName;

const EXAMPLES: &str = "\
Examples:
  millstream dlq list place-bid
  millstream dlq list place-bid --limit 1000 --json | jq -r '.letters[].class' | sort | uniq -c";

/// List a function's dead letters, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DlqListArgs {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    name: FunctionName,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Older ones: what an earlier list ended with
    #[arg(long, value_name = "WHERE")]
    from: Option<String>,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as it is
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &DlqListArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let path = ["v1", "functions", arguments.name.as_str(), "dead-letters"];
    let answer = client
        .once(&path, |http, url| {
            let request = http.get(url).query(&[("limit", arguments.limit)]);
            match &arguments.from {
                Some(from) => request.query(&[("from", from)]),
                None => request,
            }
        })
        .and_then(|answer| client.json_of(answer))
        .map_err(|failure| client.with_suggestion(failure, &arguments.name))?;
    if arguments.json {
        return Ok(writeln!(out, "{answer:#}")?);
    }
    print(&answer, out)?;
    if let Some(older) = answer["older"].as_str() {
        progress::tell(format_args!("there may be older ones: --from {older}"));
    }
    Ok(())
}

fn print(answer: &Value, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let columns = [
        ("PLACE", CellAlign::Left),
        ("TIME", CellAlign::Left),
        ("CLASS", CellAlign::Left),
        ("RECORD", CellAlign::Left),
        ("KEY", CellAlign::Left),
        ("BY", CellAlign::Left),
        ("REDRIVEN", CellAlign::Left),
        ("MESSAGE", CellAlign::Left),
    ];
    let letters = answer["letters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<[String; 8]> = letters.iter().map(row).collect();
    Ok(table::write(out, ColorChoice::Plain, columns, &rows)?)
}

fn row(letter: &Value) -> [String; 8] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let source = &letter["source"];
    let redriven = match letter["redriven"]["outcome"].as_str() {
        Some(outcome) => format!("{outcome} by {}", text(&letter["redriven"]["by"])),
        None => "-".to_owned(),
    };
    let message: String = text(&letter["message"]).lines().next().unwrap_or_default().chars().take(60).collect();
    [
        format!("{}/{}", letter["partition"], letter["offset"]),
        text(&letter["time"]),
        text(&letter["class"]),
        format!("{}/{}/{}", text(&source["topic"]), source["partition"], source["offset"]),
        letter["key"].as_str().or(letter["key_base64"].as_str()).unwrap_or("-").escape_debug().take(40).collect(),
        text(&letter["function"]),
        redriven,
        message.escape_debug().collect(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn dead_letters_are_a_table() {
        let answer = r#"{"name":"f","topic":"f.dead","older":"0:5","letters":[
            {"partition":0,"offset":9,"time":"now","key":"a","class":"trap","message":"told to panic\nmore","attempts":3,
             "function":"f@1","source":{"topic":"in","partition":2,"offset":7},
             "redriven":{"at":"x","by":"f@2","outcome":"emitted","emitted":1}},
            {"partition":0,"offset":5,"class":"reject","message":"","function":"f@1","source":{"topic":"in","partition":0,"offset":1}}]}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(200, answer)]);
        let (name, from) = (FunctionName::new("f").unwrap(), Some("0:10".to_owned()));
        let mut out = Vec::new();
        run(&DlqListArgs { name, limit: 2, from, host: host.arguments(), json: false }, &mut out).unwrap();
        let printed = String::from_utf8(out).unwrap();
        let words: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
        let first = ["0/9", "now", "trap", "in/2/7", "a", "f@1", "emitted", "by", "f@2", "told", "to", "panic"];
        assert_eq!(words[1], first, "{printed}");
        assert_eq!(words[2], ["0/5", "reject", "in/0/1", "-", "f@1", "-"], "{printed}");
        assert_eq!(host.requests()[0].line, "GET /v1/functions/f/dead-letters?limit=2&from=0%3A10 HTTP/1.1");
    }
}
