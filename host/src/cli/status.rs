//! `millstream status`: what a function is doing on a host.

use std::io::{IsTerminal, Write};

use super::failure::Failure;
use super::host_client::{HostArguments, HostClient};
use super::table::{self, Align, Paint};
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;
use crate::model::status::{Counters, FunctionStatus};

const EXAMPLES: &str = "\
Examples:
  millstream status enrich-bid
  millstream status enrich-bid --json | jq '[.partitions[].lag] | add'";

/// Show what a function is doing on this host
///
/// Partitions and counters are this host's: another host of the same cluster has others. Counters run since the host
/// started.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    name: FunctionName,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as it is
    #[arg(long)]
    json: bool,
}

/// Prints a function's status.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let client = HostClient::new(&arguments.host)?;
    let path = ["v1", "functions", arguments.name.as_str(), "status"];
    let answer = client.get(&path).map_err(|failure| client.with_suggestion(failure, &arguments.name))?;
    if arguments.json {
        return Ok(writeln!(out, "{answer:#}")?);
    }
    let status: FunctionStatus =
        serde_json::from_value(answer).map_err(|error| Failure::new(ErrorCode::UnexpectedAnswer, error.to_string()))?;
    print(&status, Paint::for_stream(std::io::stdout().is_terminal()), out)
}

fn print(status: &FunctionStatus, paint: Paint, out: &mut dyn Write) -> Result<(), Failure> {
    let state = serde_json::to_value(status.state).unwrap_or_default();
    let state = state.as_str().unwrap_or_default();
    writeln!(out, "{}@{}  {}", status.name, status.revision, paint.state(state, state))?;
    if let Some(reason) = &status.reason {
        writeln!(out, "  {reason}")?;
    }
    writeln!(out)?;
    print_partitions(status, out)?;
    writeln!(out)?;
    print_counters(&status.counters, out)
}

fn print_partitions(status: &FunctionStatus, out: &mut dyn Write) -> Result<(), Failure> {
    if status.partitions.is_empty() {
        return Ok(writeln!(out, "no partition is assigned to this host")?);
    }
    let columns = [
        ("PARTITION", Align::Left),
        ("WATERMARK", Align::Right),
        ("END", Align::Right),
        ("LAG", Align::Right),
        ("IN FLIGHT", Align::Right),
    ];
    let rows: Vec<[String; 5]> = status
        .partitions
        .iter()
        .map(|at| {
            let place = format!("{}/{}", at.topic, at.partition);
            [place, at.watermark.to_string(), at.end.to_string(), at.lag.to_string(), at.in_flight.to_string()]
        })
        .collect();
    Ok(table::write(out, Paint::Plain, columns, &rows)?)
}

fn print_counters(counters: &Counters, out: &mut dyn Write) -> Result<(), Failure> {
    let columns = [
        ("RECEIVED", Align::Right),
        ("FILTERED", Align::Right),
        ("SUCCEEDED", Align::Right),
        ("EMITTED", Align::Right),
        ("RETRIED", Align::Right),
        ("DEAD LETTERS", Align::Right),
        ("COLD STARTS", Align::Right),
        ("HOT STARTS", Align::Right),
    ];
    let Counters { received, filtered, succeeded, emitted, retried, dead_lettered, cold_starts, hot_starts } =
        *counters;
    let row = [received, filtered, succeeded, emitted, retried, dead_lettered, cold_starts, hot_starts];
    Ok(table::write(out, Paint::Plain, columns, &[row.map(|count| count.to_string())])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{Answer, FakeHost};

    const ANSWER: &str = r#"{"name":"f","revision":3,"state":"stalled","reason":"bids/0 waits for its retry",
        "partitions":[{"topic":"bids","partition":0,"watermark":10,"end":1210,"lag":1200,"in_flight":5}],
        "counters":{"received":15,"filtered":1,"succeeded":9,"emitted":9,"retried":2,"dead_lettered":0,
        "cold_starts":1,"hot_starts":10}}"#;

    #[test]
    fn a_person_sees_state_partitions_and_counters() {
        let status: FunctionStatus = serde_json::from_str(ANSWER).unwrap();
        let mut out = Vec::new();
        print(&status, Paint::Plain, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "f@3  stalled\n  bids/0 waits for its retry\n\n\
             PARTITION  WATERMARK   END   LAG  IN FLIGHT\n\
             bids/0            10  1210  1200          5\n\n\
             RECEIVED  FILTERED  SUCCEEDED  EMITTED  RETRIED  DEAD LETTERS  COLD STARTS  HOT STARTS\n      \
             15         1          9        9        2             0            1          10\n"
        );
    }

    #[test]
    fn an_unknown_name_ends_with_a_suggestion() {
        let host = FakeHost::start(vec![
            Answer::new(404, r#"{"code":"MS0201","title":"there is no such function","detail":"\"ff\""}"#),
            Answer::new(200, r#"{"functions":[{"name":"fn"}]}"#),
        ]);
        let arguments = Arguments { name: FunctionName::new("ff").unwrap(), host: host.arguments(), json: false };
        let failure = run(&arguments, &mut Vec::new()).unwrap_err();
        let Failure::Told(told) = failure else { panic!("it is to be told") };
        assert_eq!((told.exit as u8, told.suggestion.as_deref()), (3, Some("did you mean \"fn\"?")));
        assert_eq!(host.requests()[0].line, "GET /v1/functions/ff/status HTTP/1.1");
    }
}
