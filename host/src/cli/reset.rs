//! `millstream reset`: resets the offsets of a function.

use std::io::Write;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::api::views::{MoveView, ResetView};
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::FunctionArgs;
use crate::cli::progress;
use crate::cli::table::{self, CellAlign, ColorChoice};
use crate::config::offset_target::OffsetTarget;

const EXAMPLES: &str = "\
Examples:
  millstream reset enrich-bid --to -1h --dry-run
  millstream reset enrich-bid --to earliest
  millstream reset enrich-bid --to 1200 --topic bids --partition 3";

/// Hosts finish their records in flight, and dead hosts stay in the group until their session times out.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(180);

/// Reset the offsets of a function, on every host of the cluster
///
/// The hosts finish the records in flight and leave the function's group, the offsets are committed, and the hosts rejoin:
/// for some seconds the function handles nothing. Records that are handled again emit their events again. A paused
/// function stays paused.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    function: FunctionArgs,
    /// earliest, latest, an offset, a time like 2026-01-31T23:59:59Z, or an age like -1h
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, value_parser = place)]
    to: String,
    /// Only this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only this partition
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

fn place(text: &str) -> Result<String, String> {
    OffsetTarget::parse(text, SystemTime::now()).map(|_| text.to_owned())
}

pub(crate) fn run(arguments: &ResetArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let ResetArgs { function, to, topic, partition, dry_run } = arguments;
    let wanted = json!({ "to": to, "topic": topic, "partition": partition, "dry_run": dry_run });
    let answer =
        function.client()?.change(&["reset"], |http, url| http.post(url).json(&wanted).timeout(ANSWER_TIMEOUT))?;
    function.output.show(answer, out, |reset, out| print(&reset, out))
}

fn print(reset: &ResetView, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let columns = [
        ("PARTITION", CellAlign::Left),
        ("FROM", CellAlign::Right),
        ("TO", CellAlign::Right),
        ("END", CellAlign::Right),
        ("AGAIN", CellAlign::Right),
        ("SKIPPED", CellAlign::Right),
    ];
    let rows: Vec<[String; 6]> = reset.partitions.iter().map(row).collect();
    table::write(out, ColorChoice::Plain, columns, &rows)?;
    let ResetView { again, skipped, dry_run, .. } = reset;
    progress::report(match dry_run {
        true => format!("{again} offsets would be handled again, {skipped} skipped; nothing was changed"),
        false => format!("{again} offsets are handled again, {skipped} skipped"),
    });
    Ok(())
}

fn row(at: &MoveView) -> [String; 6] {
    let MoveView { topic, partition, from, to, again, skipped, end } = at;
    let from = from.map_or_else(|| "-".to_owned(), |from| from.to_string());
    let [to, end, again, skipped] = [to, end, again, skipped].map(ToString::to_string);
    [format!("{topic}/{partition}"), from, to, end, again, skipped]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn a_reset_shows_from_where_to_where() {
        let answer = r#"{"name":"f","dry_run":true,"again":20,"skipped":0,"partitions":[
            {"topic":"in","partition":0,"from":30,"to":10,"again":20,"skipped":0,"end":40},
            {"topic":"in","partition":1,"from":null,"to":0,"again":0,"skipped":0,"end":0}]}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(200, answer)]);
        let arguments = ResetArgs {
            function: host.function_args("f"),
            to: "-1h".to_owned(),
            topic: Some("in".to_owned()),
            partition: None,
            dry_run: true,
        };
        let mut out = Vec::new();
        run(&arguments, &mut out).unwrap();
        let printed = String::from_utf8(out).unwrap();
        let words: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["in/0", "30", "10", "40", "20", "0"], "{printed}");
        assert_eq!(words[2], ["in/1", "-", "0", "0", "0", "0"], "{printed}");
        let request = &host.requests()[0];
        assert_eq!(request.line, "POST /v1/functions/f/reset HTTP/1.1");
        assert_eq!(request.body, r#"{"dry_run":true,"partition":null,"to":"-1h","topic":"in"}"#);
    }
}
