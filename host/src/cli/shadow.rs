//! `millstream shadow`: shows how a function's shadow does, or stops it.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::cli::invoke::printable;
use crate::cli::sides;
use crate::cli::table::ColorChoice;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;

const EXAMPLES: &str = "\
Examples:
  millstream shadow enrich-bid
  millstream shadow enrich-bid --check && millstream promote enrich-bid
  millstream shadow enrich-bid --json | jq '.differences[] | select(.kind == \"shadow_failed\")'
  millstream shadow enrich-bid --stop";

const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Show how a function's shadow does, beside its live revision
///
/// A shadow is deployed with `millstream deploy --shadow`. It runs on the records that the live revision has handled since
/// then; what it emits is written nowhere, and compared with what the live revision emitted. Counts are of all hosts, the
/// differences are the last ones that this host saw: lines with - are the live revision's, lines with + the shadow's.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShadowArgs {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    name: FunctionName,
    /// Stop it; the live revision stays as it is
    #[arg(long, conflicts_with_all = ["check", "show"])]
    stop: bool,
    /// End with exit code 1 if anything differs
    #[arg(long)]
    check: bool,
    /// The most differences that are shown, of a hundred
    #[arg(long, value_name = "DIFFERENCES", default_value_t = 10)]
    show: usize,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as it is
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &ShadowArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let name = arguments.name.as_str();
    let path = ["v1", "functions", name, "shadow"];
    if arguments.stop {
        client
            .change(&path, |http, url| http.delete(url).timeout(ANSWER_TIMEOUT))
            .map_err(|failure| client.with_suggestion(failure, &arguments.name))?;
        return match arguments.json {
            true => Ok(writeln!(out, "{:#}", json!({ "name": name, "stopped": true }))?),
            false => Ok(writeln!(out, "the shadow of {name} is stopped")?),
        };
    }
    let answer = client.get(&path).map_err(|failure| client.with_suggestion(failure, &arguments.name))?;
    match arguments.json {
        true => writeln!(out, "{answer:#}")?,
        false => print(&answer, arguments.show, ColorChoice::for_stream(std::io::stdout().is_terminal()), out)?,
    }
    match number(&answer, "different") {
        0 => Ok(()),
        different if arguments.check => {
            Err(VerbFailure::new(ErrorCode::ShadowDiffers, format!("{different} records differ")))
        }
        _ => Ok(()),
    }
}

fn number(answer: &Value, name: &str) -> u64 {
    answer[name].as_u64().unwrap_or_default()
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_default()
}

fn print(answer: &Value, show: usize, paint: ColorChoice, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let name = text(answer, "name");
    let against = match text(answer, "against") {
        "live" => "what that emits when it is run again",
        _ => "what that emitted",
    };
    writeln!(
        out,
        "{name}@{} beside {name}@{}, compared with {against} since {}",
        number(answer, "revision"),
        number(answer, "live"),
        text(answer, "since")
    )?;
    if let Some(trouble) = answer["trouble"].as_str() {
        writeln!(out, "  {}", paint.red(&printable(trouble)))?;
    }
    let of = |name: &str| number(answer, name);
    writeln!(
        out,
        "{} records: {} the same, {} different ({} differ, {} live only, {} shadow only, {} shadow failed); {} skipped, \
         {} to go",
        of("records"),
        of("same"),
        of("different"),
        of("differs"),
        of("live_only"),
        of("shadow_only"),
        of("shadow_failed"),
        of("skipped"),
        of("lag"),
    )?;
    let differences = answer["differences"].as_array().map(Vec::as_slice).unwrap_or_default();
    for difference in &differences[differences.len().saturating_sub(show)..] {
        let key = difference["key"].as_str().or(difference["key_base64"].as_str());
        let key = key.map(|key| format!("  key={}", key.escape_debug())).unwrap_or_default();
        let kind = text(difference, "kind").replace('_', " ");
        let place = format!("{}/{}/{}", text(difference, "topic"), difference["partition"], difference["offset"]);
        writeln!(out, "{place}{key}  {}", paint.yellow(&kind))?;
        sides::print(&difference["live"], &difference["shadow"], paint, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    const ANSWER: &str = r#"{"name":"f","revision":3,"live":2,"since":"now","against":"recorded","ignore":[],
        "records":9,"same":7,"different":2,"differs":1,"live_only":0,"shadow_only":0,"shadow_failed":1,"skipped":0,"lag":4,
        "partitions":[],"trouble":"Kafka is away","differences":[
        {"topic":"in","partition":0,"offset":7,"key":"a","kind":"differs",
         "live":{"outcome":"emitted","events":[{"topic":"out","key":"a","value":"x","headers":[]}]},
         "shadow":{"outcome":"emitted","events":[{"topic":"out","key":"a","value":"y","headers":[]}]}},
        {"topic":"in","partition":0,"offset":8,"kind":"shadow_failed","live":{"outcome":"emitted","events":[]},
         "shadow":{"outcome":"trap","message":"told to\nmore","events":[]}}]}"#;

    fn arguments(host: &FakeHost) -> ShadowArgs {
        let name = FunctionName::new("f").unwrap();
        ShadowArgs { name, stop: false, check: false, show: 10, host: host.arguments(), json: false }
    }

    #[test]
    fn a_person_sees_counts_and_the_last_differences() {
        let host = FakeHost::start(vec![CannedAnswer::new(200, ANSWER), CannedAnswer::new(200, ANSWER)]);
        let mut out = Vec::new();
        run(&arguments(&host), &mut out).unwrap();
        let head = "f@3 beside f@2, compared with what that emitted since now\n  Kafka is away\n\
             9 records: 7 the same, 2 different (1 differ, 0 live only, 0 shadow only, 1 shadow failed); 0 skipped, \
             4 to go\n";
        let last = "in/0/8  shadow failed\n  - no event\n  + trap  told to\n";
        let first = "in/0/7  key=a  differs\n  - out  key=a    x\n  + out  key=a    y\n";
        assert_eq!(String::from_utf8(out).unwrap(), format!("{head}{first}{last}"));

        let mut out = Vec::new();
        let checked = run(&ShadowArgs { check: true, show: 1, ..arguments(&host) }, &mut out);
        assert!(matches!(checked, Err(VerbFailure::Told(told)) if told.code == "MS0242"));
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
