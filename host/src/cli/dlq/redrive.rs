//! `millstream dlq redrive`.

use std::io::Write;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::views::{RedriveAnswer, RedriveResult};
use crate::cli::dlq::{RecordId, place};
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::{FunctionArgs, print_json_line, read_answer};
use crate::cli::progress;
use crate::error_code::ErrorCode;
use crate::terminal::escape_for_terminal;

const EXAMPLES: &str = "\
Examples:
  millstream dlq redrive place-bid 0/12 1/4
  millstream dlq redrive place-bid --all --to 7
  millstream dlq show place-bid 0/12 --value > value.json    # edit it, then
  millstream dlq redrive place-bid 0/12 --edit value.json";

/// The answer comes after the guests ran, with their retries.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// Run dead letters through the function again
///
/// Emitted events go to the function's outputs; a record that fails again becomes a new dead letter. Nothing is written to
/// the topics that the records came from. A dead letter is redriven once, unless --force is given, in the order of its key.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DlqRedriveArgs {
    #[command(flatten)]
    function: FunctionArgs,
    /// The dead letters' positions, as `dlq list` shows them
    #[arg(value_name = "PARTITION/OFFSET", value_parser = place, required_unless_present = "all", num_args = 1..=100)]
    places: Vec<RecordId>,
    /// Every dead letter that exists now
    #[arg(long, conflicts_with = "places")]
    all: bool,
    /// The revision to run [default: the live one]
    #[arg(long, value_name = "REVISION")]
    to: Option<NonZeroU64>,
    /// Replace the value of the one record with this file's bytes
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    edit: Option<PathBuf>,
    /// Also redrive those that were redriven before
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(arguments: &DlqRedriveArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = arguments.function.client()?;
    let mut wanted = request(arguments)?;
    let (mut emitted, mut failed, mut passed_over) = (0, 0, 0);
    loop {
        let answer = client
            .change(&["dead-letters", "redrive"], |http, url| http.post(url).json(&wanted).timeout(ANSWER_TIMEOUT))?;
        if arguments.function.output.json {
            let RedrivenLetters { results } = read_answer(answer.clone())?;
            results.iter().try_for_each(|result| print_json_line(&result.to_string(), out))?;
        }
        let redriven: RedriveAnswer = read_answer(answer)?;
        if !arguments.function.output.json {
            redriven.results.iter().try_for_each(|result| print(result, out))?;
        }
        emitted += redriven.emitted;
        failed += redriven.failed;
        passed_over += redriven.passed_over;
        match redriven.left {
            Some(left) => wanted["left"] = left.into(),
            None => break,
        }
    }
    progress::report(format_args!("{emitted} succeeded, {failed} are dead letters again, {passed_over} were skipped"));
    Ok(())
}

/// The API's `RedriveAnswer`, of which each result is printed as it is.
#[derive(Deserialize)]
struct RedrivenLetters {
    results: Vec<Value>,
}

fn request(arguments: &DlqRedriveArgs) -> Result<Value, VerbFailure> {
    let DlqRedriveArgs { places, all, to, edit, force, .. } = arguments;
    let letters: Vec<_> =
        places.iter().map(|place| json!({ "partition": place.partition, "offset": place.offset })).collect();
    let mut wanted = json!({ "all": all, "letters": letters, "revision": to, "force": force });
    if let Some(file) = edit {
        let unreadable =
            |error| VerbFailure::new(ErrorCode::InvalidEvent, format!("cannot read {}: {error}", file.display()));
        wanted["value_base64"] = BASE64_STANDARD.encode(std::fs::read(file).map_err(unreadable)?).into();
    }
    Ok(wanted)
}

fn print(result: &RedriveResult, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let RedriveResult { partition, offset, outcome, emitted, message } = result;
    let outcome = escape_for_terminal(outcome);
    match message.as_deref().and_then(|message| message.lines().next()) {
        Some(message) => writeln!(out, "{partition}/{offset}  {outcome}: {}", escape_for_terminal(message))?,
        None => writeln!(out, "{partition}/{offset}  {outcome}  {emitted} events")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    fn arguments(host: &FakeHost) -> DlqRedriveArgs {
        DlqRedriveArgs {
            function: host.function_args("f"),
            places: Vec::new(),
            all: true,
            to: NonZeroU64::new(2),
            edit: None,
            force: false,
        }
    }

    #[test]
    fn all_are_handled_although_one_request_does_not_do_it() {
        let first = r#"{"name":"f","revision":2,"emitted":1,"failed":0,"passed_over":0,"left":"0:5-9","results":[{"partition":0,"offset":4,"outcome":"emitted","emitted":2}]}"#;
        let second = r#"{"name":"f","revision":2,"emitted":0,"failed":1,"passed_over":0,"results":[{"partition":0,"offset":5,"outcome":"trap","emitted":0,"message":"asked to\nmore"}]}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(200, first), CannedAnswer::new(200, second)]);
        let mut out = Vec::new();
        run(&arguments(&host), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "0/4  emitted  2 events\n0/5  trap: asked to\n");
        let requests = host.requests();
        assert_eq!(requests[0].line, "POST /v1/functions/f/dead-letters/redrive HTTP/1.1");
        assert_eq!(requests[0].body, r#"{"all":true,"force":false,"letters":[],"revision":2}"#);
        assert!(requests[1].body.contains(r#""left":"0:5-9""#), "{}", requests[1].body);
    }

    #[test]
    fn a_record_may_be_edited() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("value");
        std::fs::write(&file, b"ok").unwrap();
        let host = FakeHost::start(vec![CannedAnswer::new(
            200,
            r#"{"name":"f","revision":2,"emitted":0,"failed":0,"passed_over":0,"results":[]}"#,
        )]);
        let places = vec![place("1/7").unwrap()];
        let arguments = DlqRedriveArgs { places, all: false, edit: Some(file), ..arguments(&host) };
        run(&arguments, &mut Vec::new()).unwrap();
        let body = &host.requests()[0].body;
        assert!(body.contains(r#""value_base64":"b2s=""#) && body.contains(r#"{"offset":7,"partition":1}"#), "{body}");
    }
}
