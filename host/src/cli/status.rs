//! `millstream status`: what a function is doing on a host.

use std::io::Write;

use crate::cli::failure::VerbFailure;
use crate::cli::function_args::FunctionArgs;
use crate::cli::table::{self, CellAlign, ColorChoice};
use crate::model::status::{BlockedBy, FunctionCounters, FunctionStatus, PartitionStatus, WaitReason};
use crate::terminal::escape_for_terminal;

const EXAMPLES: &str = "\
Examples:
  millstream status enrich-bid
  millstream status enrich-bid --json | jq '[.partitions[].lag] | add'";

/// A table shows the start of a key; JSON has all of it.
const LONGEST_KEY: usize = 32;

/// Show what a function is doing on this host
///
/// Partitions and counters are those of this host only. Counters start at zero with the host. OLDEST is the time since the
/// oldest unfinished record was taken. BLOCKED BY is the record that holds back the watermark, and what it waits for.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    function: FunctionArgs,
}

pub(crate) fn run(arguments: &StatusArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let answer = arguments.function.client()?.get(&["status"])?;
    arguments.function.output.show(answer, out, |status, out| print(&status, ColorChoice::for_stdout(), out))
}

fn print(status: &FunctionStatus, paint: ColorChoice, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let name = escape_for_terminal(&status.name);
    let state = table::paint_state(paint, status.state, &table::json_name(&status.state));
    writeln!(out, "{name}@{}  {state}", status.revision)?;
    if let Some(reason) = &status.reason {
        writeln!(out, "  {}", escape_for_terminal(reason))?;
    }
    if let Some(shadow) = status.shadow {
        writeln!(out, "  revision {shadow} is its shadow: see `millstream shadow {name}`")?;
    }
    writeln!(out)?;
    print_partitions(status, out)?;
    // The first reason is the function's.
    let others = status.partitions.iter().filter_map(|at| at.stalled.as_ref());
    for reason in others.filter(|reason| status.reason.as_ref() != Some(reason)) {
        writeln!(out, "  {}", escape_for_terminal(reason))?;
    }
    writeln!(out)?;
    print_counters(&status.counters, out)
}

fn print_partitions(status: &FunctionStatus, out: &mut dyn Write) -> Result<(), VerbFailure> {
    if status.partitions.is_empty() {
        return Ok(writeln!(out, "no partition is assigned to this host")?);
    }
    let columns = [
        ("PARTITION", CellAlign::Left),
        ("WATERMARK", CellAlign::Right),
        ("END", CellAlign::Right),
        ("LAG", CellAlign::Right),
        ("IN FLIGHT", CellAlign::Right),
        ("OLDEST", CellAlign::Right),
        ("BLOCKED BY", CellAlign::Left),
    ];
    let rows: Vec<[String; 7]> = status.partitions.iter().map(row).collect();
    Ok(table::write(out, ColorChoice::Plain, columns, &rows)?)
}

fn row(at: &PartitionStatus) -> [String; 7] {
    let oldest = if at.oldest_in_flight_ms == 0 { "-".to_owned() } else { table::age(at.oldest_in_flight_ms) };
    [
        format!("{}/{}", at.topic, at.partition),
        at.watermark.to_string(),
        at.end.to_string(),
        at.lag.to_string(),
        at.in_flight.to_string(),
        oldest,
        at.blocked_by.as_ref().map_or_else(|| "-".to_owned(), blocker),
    ]
}

/// The record that holds a partition back, and what it waits for, in a few words.
fn blocker(by: &BlockedBy) -> String {
    let key = match (&by.key, &by.key_base64) {
        (Some(key), _) => format!(" (key {})", shortened(key)),
        (None, Some(key)) => format!(" (key {} in base64)", shortened(key)),
        (None, None) => String::new(),
    };
    let why = match by.why {
        WaitReason::Running => "runs".to_owned(),
        WaitReason::Queued => "waits for a worker".to_owned(),
        WaitReason::Retry { attempt, max_attempts, in_ms } => {
            format!("attempt {attempt} of {max_attempts} in {}", table::age(in_ms))
        }
        WaitReason::Kafka => "waits for Kafka".to_owned(),
    };
    format!("offset {}{key}: {why}", by.offset)
}

fn shortened(key: &str) -> String {
    match key.char_indices().nth(LONGEST_KEY) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key.to_owned(),
    }
}

fn print_counters(counters: &FunctionCounters, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let columns = [
        ("RECEIVED", CellAlign::Right),
        ("FILTERED", CellAlign::Right),
        ("SUCCEEDED", CellAlign::Right),
        ("EMITTED", CellAlign::Right),
        ("RETRIED", CellAlign::Right),
        ("DEAD LETTERS", CellAlign::Right),
        ("COLD STARTS", CellAlign::Right),
        ("HOT STARTS", CellAlign::Right),
    ];
    let FunctionCounters { received, filtered, succeeded, emitted, retried, dead_lettered, cold_starts, hot_starts } =
        *counters;
    let row = [received, filtered, succeeded, emitted, retried, dead_lettered, cold_starts, hot_starts];
    Ok(table::write(out, ColorChoice::Plain, columns, &[row.map(|count| count.to_string())])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost, functions};

    const ANSWER: &str = r#"{"name":"f","revision":3,"state":"stalled","reason":"bids/0 waits for its retry",
        "partitions":[{"topic":"bids","partition":0,"watermark":10,"end":1210,"lag":1200,"in_flight":5,
          "oldest_in_flight_ms":62500,"blocked_by":{"offset":10,"key":"lot 7","why":"retry","attempt":2,
          "max_attempts":5,"in_ms":4200},"stalled":"bids/0 waits for its retry"},
          {"topic":"bids","partition":1,"watermark":7,"end":7,"lag":0,"in_flight":0}],
        "counters":{"received":15,"filtered":1,"succeeded":9,"emitted":9,"retried":2,"dead_lettered":0,
        "cold_starts":1,"hot_starts":10}}"#;

    fn printed(status: &FunctionStatus) -> String {
        let mut out = Vec::new();
        print(status, ColorChoice::Plain, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_person_sees_state_partitions_and_counters() {
        let status: FunctionStatus = serde_json::from_str(ANSWER).unwrap();
        assert_eq!(
            printed(&status),
            "f@3  stalled\n  bids/0 waits for its retry\n\n\
             PARTITION  WATERMARK   END   LAG  IN FLIGHT  OLDEST  BLOCKED BY\n\
             bids/0            10  1210  1200          5    1m3s  offset 10 (key lot 7): attempt 2 of 5 in 5s\n\
             bids/1             7     7     0          0       -  -\n\n\
             RECEIVED  FILTERED  SUCCEEDED  EMITTED  RETRIED  DEAD LETTERS  COLD STARTS  HOT STARTS\n      \
             15         1          9        9        2             0            1          10\n"
        );
    }

    #[test]
    fn a_shadow_is_mentioned() {
        let mut status: FunctionStatus = serde_json::from_str(ANSWER).unwrap();
        assert!(!printed(&status).contains("shadow"));
        status.shadow = Some(4);
        assert!(printed(&status).contains("\n  revision 4 is its shadow: see `millstream shadow f`\n"));
    }

    #[test]
    fn the_blocker_is_described_in_a_few_words() {
        let by = |key: Option<&str>, why| {
            blocker(&BlockedBy { offset: 4, key: key.map(str::to_owned), key_base64: None, why })
        };
        assert_eq!(by(None, WaitReason::Running), "offset 4: runs");
        let long = by(Some(&"é".repeat(40)), WaitReason::Kafka);
        assert_eq!(long, format!("offset 4 (key {}…): waits for Kafka", "é".repeat(32)));
    }

    #[test]
    fn every_partition_that_stands_still_says_why() {
        let mut status: FunctionStatus = serde_json::from_str(ANSWER).unwrap();
        status.partitions[1].stalled = Some("bids/1 is gone".to_owned());
        let printed = printed(&status);
        assert_eq!(printed.matches("waits for its retry").count(), 1, "{printed}");
        assert!(printed.contains("\n  bids/1 is gone\n"), "{printed}");
    }

    #[test]
    fn an_unknown_name_ends_with_a_suggestion() {
        let host = FakeHost::start(vec![
            CannedAnswer::problem("MS0201", "\"ff\""),
            CannedAnswer::new(200, &functions(&["fn"])),
        ]);
        let arguments = StatusArgs { function: host.function_args("ff") };
        let failure = run(&arguments, &mut Vec::new()).unwrap_err();
        let VerbFailure::Reported(reported) = failure else { panic!("it is a failure") };
        assert_eq!((reported.exit as u8, reported.suggestion.as_deref()), (3, Some("did you mean \"fn\"?")));
        assert_eq!(host.requests()[0].line, "GET /v1/functions/ff/status HTTP/1.1");
    }
}
