//! `millstream replay`: runs a revision over old records of a topic and shows the differences.

use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::api::views::{ReplayLine, TallyView};
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::{FunctionClient, OutputArgs, print_json_line};
use crate::cli::progress::{self, ProgressLine};
use crate::cli::sides;
use crate::cli::table::ColorChoice;
use crate::config::offset_target::OffsetTarget;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;
use crate::terminal::escape_for_terminal;

const EXAMPLES: &str = "\
Examples:
  millstream replay enrich-bid@7 --topic bids --from -1h
  millstream replay enrich-bid@7 --topic bids --from 0 --to 100000 --ignore time --check
  millstream replay enrich-bid --topic bids --from earliest --against nothing --output scratch
  millstream replay enrich-bid@7 --topic bids --from -1d --json | jq 'select(.kind == \"difference\")'";

/// The longest replay; a host reports progress meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);

/// Run a revision over old records of a topic, and show where its events differ from those emitted then
///
/// Only --output is written to, and the function keeps its offsets. The events are compared with those that the output
/// topics have for the same record, except for their trace and revision, which always differ.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReplayArgs {
    /// The function, and the revision to run [default: the live one]
    #[arg(value_name = "FUNCTION[@REVISION]", value_parser = subject)]
    function: ReplaySubject,
    /// The topic
    #[arg(long)]
    topic: String,
    /// Only this partition
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Where to start: earliest, an offset, a time, or an age like -1h
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, default_value = "earliest", value_parser = place)]
    from: String,
    /// Where to end, exclusive
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, default_value = "latest", value_parser = place)]
    to: String,
    /// Compare with the events recorded in the output topics, with those that the live revision emits now, or with nothing
    /// [default: recorded; live if an output is raw, which does not record the cause of an event]
    #[arg(long, value_parser = ["recorded", "live", "nothing"])]
    against: Option<String>,
    /// An attribute or a header to ignore when events are compared, for example time
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// Write the emitted events to this topic
    #[arg(long, value_name = "TOPIC")]
    output: Option<String>,
    /// The most records to run
    #[arg(long, value_name = "RECORDS", default_value_t = 1_000_000)]
    most: u64,
    /// The most differences to show; the others are only counted
    #[arg(long, value_name = "DIFFERENCES", default_value_t = 100)]
    show: u64,
    /// End with exit code 1 if anything differs
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    output_args: OutputArgs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ReplaySubject {
    name: FunctionName,
    revision: Option<NonZeroU64>,
}

fn subject(text: &str) -> Result<ReplaySubject, String> {
    let (name, revision) = match text.split_once('@') {
        Some((name, revision)) => {
            let number = revision.parse().map_err(|_| format!("\"{revision}\" is not a revision: write NAME@3"))?;
            (name, Some(number))
        }
        None => (text, None),
    };
    FunctionName::new(name).map(|name| ReplaySubject { name, revision }).map_err(|error| error.to_string())
}

fn place(text: &str) -> Result<String, String> {
    OffsetTarget::parse(text, SystemTime::now()).map(|_| text.to_owned())
}

pub(crate) fn run(arguments: &ReplayArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = FunctionClient::new(&arguments.output_args.host, &arguments.function.name)?;
    let as_json = arguments.output_args.json;
    let response =
        client.once(&["replay"], |http, url| http.post(url).json(&request(arguments)).timeout(ANSWER_TIMEOUT))?;
    let paint = ColorChoice::for_stdout();
    let bar = ProgressLine::new();
    let mut different = None;
    for line in BufReader::new(response).lines() {
        let line = line.map_err(|error| client.broken_off(&error))?;
        let news: ReplayLine = serde_json::from_str(&line)
            .map_err(|error| VerbFailure::new(ErrorCode::UnexpectedAnswer, format!("a line of the replay: {error}")))?;
        if as_json {
            bar.above(|| print_json_line(&line, out))?;
        }
        match news {
            ReplayLine::Began { offsets, .. } => bar.of(offsets),
            ReplayLine::Progress(tally) => bar.show(tally.records, format!("{} differ", tally.different)),
            ReplayLine::Difference { partition, offset, key, key_base64, expected, got } if !as_json => {
                let key = key.or(key_base64).map(|key| format!("  key={}", escape_for_terminal(&key)));
                let place = format!("{}/{partition}/{offset}", arguments.topic);
                bar.above(|| {
                    writeln!(out, "{place}{}", key.unwrap_or_default())?;
                    sides::print(&expected, &got, paint, out)
                })?;
            }
            ReplayLine::Difference { .. } => {}
            ReplayLine::Failed { problem } => return Err(problem.into()),
            ReplayLine::Ended(tally) => {
                different = Some(tally.different);
                if !as_json {
                    bar.above(|| print_tally(&tally, out))?;
                }
            }
        }
    }
    match different {
        None => Err(client.broken_off(&std::io::Error::other("the replay has no end"))),
        Some(different) if arguments.check && different > 0 => {
            Err(VerbFailure::new(ErrorCode::ReplayDiffers, format!("{different} records differ")))
        }
        Some(_) => Ok(()),
    }
}

fn request(arguments: &ReplayArgs) -> Value {
    let ReplayArgs { function, topic, partition, from, to, against, ignore, output, most, show, .. } = arguments;
    json!({
        "topic": topic, "partition": partition, "from": from, "to": to, "revision": function.revision,
        "against": against, "ignore": ignore, "output": output, "most_records": most, "most_shown": show,
    })
}

fn print_tally(tally: &TallyView, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let TallyView { records, filtered, given_up, emitted, same, different, not_handled, written } = tally;
    writeln!(
        out,
        "{records} records: {same} the same, {different} different, {not_handled} not handled yet; {filtered} filtered, \
         {given_up} failed, {emitted} events"
    )?;
    if *written > 0 {
        progress::report(format_args!("{written} events were written"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    const STREAM: &str = r#"{"kind":"began","partitions":[{"partition":0,"from":0,"to":9}],"offsets":9}
{"kind":"progress","records":5,"filtered":0,"given_up":0,"emitted":5,"same":5,"different":0,"not_handled":0,"written":0}
{"kind":"difference","partition":0,"offset":7,"key":"a","expected":{"outcome":"emitted","events":[{"topic":"out","key":"a","value":"x","headers":[{"name":"ce_id","value":"1"}]},{"topic":"out","key":"b","value":"z","headers":[]}]},"got":{"outcome":"emitted","events":[{"topic":"out","key":"a","value":"y","headers":[{"name":"ce_id","value":"1"}]},{"topic":"out","key":"b","value":"z","headers":[]}]}}
{"kind":"difference","partition":0,"offset":8,"expected":{"outcome":"emitted","events":[]},"got":{"outcome":"trap","message":"asked to\nmore","events":[]}}
{"kind":"ended","records":9,"filtered":1,"given_up":1,"emitted":8,"same":7,"different":2,"not_handled":0,"written":0}"#;

    fn arguments(host: &FakeHost) -> ReplayArgs {
        ReplayArgs {
            function: subject("f@3").unwrap(),
            topic: "in".to_owned(),
            partition: None,
            from: "-1h".to_owned(),
            to: "latest".to_owned(),
            against: None,
            ignore: vec!["time".to_owned()],
            output: None,
            most: 10,
            show: 100,
            check: false,
            output_args: host.output_args(),
        }
    }

    #[test]
    fn differences_are_lines_of_a_diff() {
        let host = FakeHost::start(vec![CannedAnswer::new(200, STREAM), CannedAnswer::new(200, STREAM)]);
        let mut out = Vec::new();
        run(&arguments(&host), &mut out).unwrap();
        let printed = String::from_utf8(out).unwrap();
        assert_eq!(
            printed,
            "in/0/7  key=a\n  - out  key=a  ce_id=1  x\n  + out  key=a  ce_id=1  y\n\
             in/0/8\n  - no event\n  + trap  asked to\n\
             9 records: 7 the same, 2 different, 0 not handled yet; 1 filtered, 1 failed, 8 events\n"
        );
        let checked = run(&ReplayArgs { check: true, ..arguments(&host) }, &mut Vec::new());
        assert!(
            matches!(checked, Err(VerbFailure::Reported(reported)) if reported.detail.contains("2 records differ"))
        );
        let request = &host.requests()[0];
        assert_eq!(request.line, "POST /v1/functions/f/replay HTTP/1.1");
        assert!(
            request.body.contains(r#""revision":3"#) && request.body.contains(r#""from":"-1h""#),
            "{}",
            request.body
        );
    }

    #[test]
    fn a_replay_that_ends_early_has_failed() {
        let failed = r#"{"kind":"failed","problem":{"type":"x","status":503,"remedy":"wait","code":"MS0301","title":"Kafka does not answer","detail":"gone"}}"#;
        let cut = r#"{"kind":"began","partitions":[],"offsets":0}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(200, failed), CannedAnswer::new(200, cut)]);
        let reported = |result: Result<(), VerbFailure>| match result {
            Err(VerbFailure::Reported(reported)) => reported.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(reported(run(&arguments(&host), &mut Vec::new())), "MS0301");
        assert_eq!(reported(run(&arguments(&host), &mut Vec::new())), "MS0501");
        assert_eq!(subject("f@x"), Err("\"x\" is not a revision: write NAME@3".to_owned()));
        assert!(subject("F@1").is_err() && subject("f@0").is_err());
    }
}
