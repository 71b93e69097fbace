//! `millstream shadow`: compares a function's shadow with its live revision, or stops it.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use crate::api::views::{ShadowDeployed, ShadowDifference, ShadowView};
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::{FunctionArgs, print_json, read_answer};
use crate::cli::sides;
use crate::cli::table::{ColorChoice, json_name};
use crate::error_code::ErrorCode;
use crate::terminal::escape_for_terminal;

const EXAMPLES: &str = "\
Examples:
  millstream shadow enrich-bid
  millstream shadow enrich-bid --check && millstream promote enrich-bid
  millstream shadow enrich-bid --json | jq '.differences[] | select(.kind == \"shadow_failed\")'
  millstream shadow enrich-bid --stop";

const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Compare a function's shadow with its live revision
///
/// A shadow is deployed with `millstream deploy --shadow`. It runs on the records that the live revision has handled since
/// then. Its events are not written, but compared with those of the live revision. Counts cover all hosts; differences are
/// the last ones that this host saw: lines with - are the live revision's, lines with + the shadow's.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShadowArgs {
    #[command(flatten)]
    function: FunctionArgs,
    /// Stop the shadow; the live revision is not affected
    #[arg(long, conflicts_with_all = ["check", "show"])]
    stop: bool,
    /// End with exit code 1 if anything differs
    #[arg(long)]
    check: bool,
    /// The most differences to show, up to a hundred
    #[arg(long, value_name = "DIFFERENCES", default_value_t = 10)]
    show: usize,
}

pub(crate) fn run(arguments: &ShadowArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let FunctionArgs { name, output } = &arguments.function;
    let client = arguments.function.client()?;
    if arguments.stop {
        client.change(&["shadow"], |http, url| http.delete(url).timeout(ANSWER_TIMEOUT))?;
        return match output.json {
            true => print_json(&json!({ "name": name, "stopped": true }), out),
            false => Ok(writeln!(out, "the shadow of {name} is stopped")?),
        };
    }
    let answer = client.get(&["shadow"])?;
    if output.json {
        print_json(&answer, out)?;
    }
    let shadow: ShadowView = read_answer(answer)?;
    if !output.json {
        print(&shadow, arguments.show, ColorChoice::for_stdout(), out)?;
    }
    match shadow.different {
        0 => Ok(()),
        different if arguments.check => {
            Err(VerbFailure::new(ErrorCode::ShadowDiffers, format!("{different} records differ")))
        }
        _ => Ok(()),
    }
}

fn print(shadow: &ShadowView, show: usize, paint: ColorChoice, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let ShadowDeployed { name, revision, live, since, .. } = &shadow.deployed;
    let against = match shadow.against.as_ref() {
        "live" => "what that emits when it is run again",
        _ => "what that emitted",
    };
    let since = escape_for_terminal(since);
    writeln!(out, "{name}@{revision} beside {name}@{live}, compared with {against} since {since}")?;
    if let Some(trouble) = &shadow.trouble {
        writeln!(out, "  {}", paint.red(&escape_for_terminal(trouble)))?;
    }
    writeln!(
        out,
        "{} records: {} the same, {} different ({} differ, {} live only, {} shadow only, {} shadow failed); {} skipped, \
         {} to go",
        shadow.records,
        shadow.same,
        shadow.different,
        shadow.differs,
        shadow.live_only,
        shadow.shadow_only,
        shadow.shadow_failed,
        shadow.skipped,
        shadow.lag,
    )?;
    let first = shadow.differences.len().saturating_sub(show);
    shadow.differences[first..].iter().try_for_each(|difference| print_difference(difference, paint, out))
}

fn print_difference(difference: &ShadowDifference, paint: ColorChoice, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let ShadowDifference { topic, partition, offset, key, key_base64, kind, live, shadow } = difference;
    let key = key.as_deref().or(key_base64.as_deref());
    let key = key.map(|key| format!("  key={}", escape_for_terminal(key))).unwrap_or_default();
    let kind = json_name(kind).replace('_', " ");
    writeln!(out, "{}/{partition}/{offset}{key}  {}", escape_for_terminal(topic), paint.yellow(&kind))?;
    sides::print(live, shadow, paint, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    const ANSWER: &str = r#"{"name":"f","revision":3,"live":2,"since":"now",
        "digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","shape":"wasi-http","against":"recorded","ignore":[],
        "records":9,"same":7,"different":2,"differs":1,"live_only":0,"shadow_only":0,"shadow_failed":1,"skipped":0,"lag":4,
        "partitions":[],"trouble":"Kafka is away","differences":[
        {"topic":"in","partition":0,"offset":7,"key":"a","kind":"differs",
         "live":{"outcome":"emitted","events":[{"topic":"out","key":"a","value":"x","headers":[]}]},
         "shadow":{"outcome":"emitted","events":[{"topic":"out","key":"a","value":"y","headers":[]}]}},
        {"topic":"in","partition":0,"offset":8,"kind":"shadow_failed","live":{"outcome":"emitted","events":[]},
         "shadow":{"outcome":"trap","message":"asked to\nmore","events":[]}}]}"#;

    fn arguments(host: &FakeHost) -> ShadowArgs {
        ShadowArgs { function: host.function_args("f"), stop: false, check: false, show: 10 }
    }

    #[test]
    fn a_person_sees_counts_and_the_last_differences() {
        let host = FakeHost::start(vec![CannedAnswer::new(200, ANSWER), CannedAnswer::new(200, ANSWER)]);
        let mut out = Vec::new();
        run(&arguments(&host), &mut out).unwrap();
        let head = "f@3 beside f@2, compared with what that emitted since now\n  Kafka is away\n\
             9 records: 7 the same, 2 different (1 differ, 0 live only, 0 shadow only, 1 shadow failed); 0 skipped, \
             4 to go\n";
        let last = "in/0/8  shadow failed\n  - no event\n  + trap  asked to\n";
        let first = "in/0/7  key=a  differs\n  - out  key=a    x\n  + out  key=a    y\n";
        assert_eq!(String::from_utf8(out).unwrap(), format!("{head}{first}{last}"));

        let mut out = Vec::new();
        let checked = run(&ShadowArgs { check: true, show: 1, ..arguments(&host) }, &mut out);
        assert!(matches!(checked, Err(VerbFailure::Reported(reported)) if reported.code == "MS0242"));
        assert_eq!(String::from_utf8(out).unwrap(), format!("{head}{last}"));
    }

    #[test]
    fn a_shadow_is_stopped() {
        let host = FakeHost::start(vec![CannedAnswer::new(204, "")]);
        let mut out = Vec::new();
        run(&ShadowArgs { stop: true, ..arguments(&host) }, &mut out).unwrap();
        assert_eq!(out, b"the shadow of f is stopped\n");
        assert_eq!(host.requests()[0].line, "DELETE /v1/functions/f/shadow HTTP/1.1");
    }
}
