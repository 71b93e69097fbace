//! `millstream replay`: runs a revision over a topic's past and shows the differences.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::cli::progress::{self, ProgressLine};
use crate::cli::sides;
use crate::cli::table::ColorChoice;
use crate::config::offset_target::OffsetTarget;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;

const EXAMPLES: &str = "\
Examples:
  millstream replay enrich-bid@7 --topic bids --from -1h
  millstream replay enrich-bid@7 --topic bids --from 0 --to 100000 --ignore time --check
  millstream replay enrich-bid --topic bids --from earliest --against nothing --output scratch
  millstream replay enrich-bid@7 --topic bids --from -1d --json | jq 'select(.kind == \"difference\")'";

/// A replay may take long; a host that says nothing for so long has died.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);

/// Run a revision over a topic's past, and show where it differs from what was emitted then
///
/// Nothing is written but to --output, and the function's place in its topics stays. What is emitted is compared with what
/// the output topics have for the same record, without what differs from run to run: trace and revision.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReplayArgs {
    /// The function, and the revision that is run; without it the live one
    #[arg(value_name = "FUNCTION[@REVISION]", value_parser = subject)]
    function: ReplaySubject,
    /// The topic
    #[arg(long)]
    topic: String,
    /// Only this partition
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Where to begin: earliest, an offset, a moment, or an age such as -1h
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, default_value = "earliest", value_parser = place)]
    from: String,
    /// Where to end; the record there is not run
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, default_value = "latest", value_parser = place)]
    to: String,
    /// With what to compare: what was emitted then, or what the live revision emits for the same record. Without it what was
    /// recorded, unless an output is raw, which does not say what it was emitted for
    #[arg(long, value_parser = ["recorded", "live", "nothing"])]
    against: Option<String>,
    /// An attribute or a header in which a difference is none, such as time
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// Write what is emitted to this topic of your own
    #[arg(long, value_name = "TOPIC")]
    output: Option<String>,
    /// The most records
    #[arg(long, value_name = "RECORDS", default_value_t = 1_000_000)]
    most: u64,
    /// The most differences that are shown; the others are counted
    #[arg(long, value_name = "DIFFERENCES", default_value_t = 100)]
    show: u64,
    /// End with exit code 1 if anything differs
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's lines as they are
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ReplaySubject {
    name: FunctionName,
    revision: Option<NonZeroU64>,
}

fn subject(text: &str) -> Result<ReplaySubject, String> {
    let (name, revision) = match text.split_once('@') {
        Some((name, revision)) => {
            let number = revision.parse().map_err(|_| format!("\"{revision}\" is no revision: write NAME@3"))?;
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
    let client = HostClient::new(&arguments.host)?;
    let name = &arguments.function.name;
    let response = client
        .once(&["v1", "functions", name.as_str(), "replay"], |http, url| {
            http.post(url).json(&request(arguments)).timeout(ANSWER_TIMEOUT)
        })
        .map_err(|failure| client.with_suggestion(failure, name))?;
    let paint = ColorChoice::for_stream(std::io::stdout().is_terminal());
    let bar = ProgressLine::new();
    let mut different = None;
    for line in BufReader::new(response).lines() {
        let line = line.map_err(|error| client.broken_off(&error))?;
        let news: Value = serde_json::from_str(&line)
            .map_err(|error| VerbFailure::new(ErrorCode::UnexpectedAnswer, format!("a line is no JSON: {error}")))?;
        if arguments.json {
            writeln!(out, "{line}")?;
        }
        match news["kind"].as_str() {
            Some("began") => bar.of(news["offsets"].as_u64().unwrap_or_default()),
            Some("progress") => bar.show(number(&news, "records"), format!("{} differ", number(&news, "different"))),
            Some("difference") if !arguments.json => {
                bar.above(|| print_difference(&arguments.topic, &news, paint, out))?;
            }
            Some("failed") => return Err(HostClient::failure_of_json(&news["problem"])),
            Some("ended") => {
                different = Some(number(&news, "different"));
                if !arguments.json {
                    bar.above(|| print_tally(&news, out))?;
                }
            }
            _ => {}
        }
    }
    match different {
        None => Err(client.broken_off(&std::io::Error::other("it did not say that it was over"))),
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

fn number(news: &Value, name: &str) -> u64 {
    news[name].as_u64().unwrap_or_default()
}

fn print_difference(topic: &str, news: &Value, paint: ColorChoice, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let key =
        news["key"].as_str().or(news["key_base64"].as_str()).map(|key| format!("  key={key}")).unwrap_or_default();
    writeln!(out, "{topic}/{}/{}{}", news["partition"], news["offset"], key.escape_debug())?;
    sides::print(&news["expected"], &news["got"], paint, out)
}

fn print_tally(news: &Value, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let of = |name: &str| number(news, name);
    writeln!(
        out,
        "{} records: {} the same, {} different, {} not handled yet; {} filtered, {} given up, {} events",
        of("records"),
        of("same"),
        of("different"),
        of("not_handled"),
        of("filtered"),
        of("given_up"),
        of("emitted")
    )?;
    if of("written") > 0 {
        progress::tell(format_args!("{} events were written", of("written")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    const STREAM: &str = r#"{"kind":"began","partitions":[{"partition":0,"from":0,"to":9}],"offsets":9}
{"kind":"progress","records":5,"different":0}
{"kind":"difference","partition":0,"offset":7,"key":"a","expected":{"outcome":"emitted","events":[{"topic":"out","key":"a","value":"x","headers":[{"name":"ce_id","value":"1"}]},{"topic":"out","key":"b","value":"z","headers":[]}]},"got":{"outcome":"emitted","events":[{"topic":"out","key":"a","value":"y","headers":[{"name":"ce_id","value":"1"}]},{"topic":"out","key":"b","value":"z","headers":[]}]}}
{"kind":"difference","partition":0,"offset":8,"expected":{"outcome":"emitted","events":[]},"got":{"outcome":"trap","message":"told to\nmore","events":[]}}
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
            host: host.arguments(),
            json: false,
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
             in/0/8\n  - no event\n  + trap  told to\n\
             9 records: 7 the same, 2 different, 0 not handled yet; 1 filtered, 1 given up, 8 events\n"
        );
        let checked = run(&ReplayArgs { check: true, json: true, ..arguments(&host) }, &mut Vec::new());
        assert!(matches!(checked, Err(VerbFailure::Told(told)) if told.detail.contains("2 records differ")));
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
        let failed = r#"{"kind":"failed","problem":{"code":"MS0301","title":"Kafka does not answer","detail":"gone"}}"#;
        let cut = r#"{"kind":"began","partitions":[],"offsets":0}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(200, failed), CannedAnswer::new(200, cut)]);
        let told = |result: Result<(), VerbFailure>| match result {
            Err(VerbFailure::Told(told)) => told.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(told(run(&arguments(&host), &mut Vec::new())), "MS0301");
        assert_eq!(told(run(&arguments(&host), &mut Vec::new())), "MS0501");
        assert_eq!(subject("f@x"), Err("\"x\" is no revision: write NAME@3".to_owned()));
        assert!(subject("F@1").is_err() && subject("f@0").is_err());
    }
}
