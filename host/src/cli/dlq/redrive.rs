//! `millstream dlq redrive`.

use std::io::Write;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::cli::dlq::{RecordId, place};
use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::cli::progress;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;

const EXAMPLES: &str = "\
Examples:
  millstream dlq redrive place-bid 0/12 1/4
  millstream dlq redrive place-bid --all --to 7
  millstream dlq show place-bid 0/12 --value > value.json    # edit it, then
  millstream dlq redrive place-bid 0/12 --edit value.json";

/// Guests run first, with their retries.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// Handle dead letters again, by the function itself
///
/// What it emits goes to its outputs; what fails again is a new dead letter. Nothing is written back to the topics that the
/// records came from. Each is handled once, unless you insist, and the order of a key is kept among them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DlqRedriveArgs {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    name: FunctionName,
    /// The dead letters' places, as `dlq list` shows them
    #[arg(value_name = "PARTITION/OFFSET", value_parser = place, required_unless_present = "all", num_args = 1..=100)]
    places: Vec<RecordId>,
    /// All that there are now
    #[arg(long, conflicts_with = "places")]
    all: bool,
    /// The revision that handles them; without it the live one
    #[arg(long, value_name = "REVISION")]
    to: Option<NonZeroU64>,
    /// A file whose bytes are put in place of the one record's value
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    edit: Option<PathBuf>,
    /// Also those that were handled again before
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    host: HostArguments,
    /// Print a line of JSON for each
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &DlqRedriveArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let path = ["v1", "functions", arguments.name.as_str(), "dead-letters", "redrive"];
    let mut wanted = request(arguments)?;
    let (mut emitted, mut failed, mut passed_over) = (0, 0, 0);
    loop {
        let answer = client
            .change(&path, |http, url| http.post(url).json(&wanted).timeout(ANSWER_TIMEOUT))
            .map_err(|failure| client.with_suggestion(failure, &arguments.name))?
            .unwrap_or_default();
        for result in answer["results"].as_array().map(Vec::as_slice).unwrap_or_default() {
            print(result, arguments.json, out)?;
        }
        let count = |name: &str| answer[name].as_u64().unwrap_or_default();
        emitted += count("emitted");
        failed += count("failed");
        passed_over += count("passed_over");
        match answer["left"].as_str() {
            Some(left) => wanted["left"] = left.into(),
            None => break,
        }
    }
    progress::tell(format_args!(
        "{emitted} went through, {failed} are dead letters again, {passed_over} were passed over"
    ));
    Ok(())
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

fn print(result: &Value, json: bool, out: &mut dyn Write) -> Result<(), VerbFailure> {
    if json {
        return Ok(writeln!(out, "{result}")?);
    }
    let (partition, offset) = (&result["partition"], &result["offset"]);
    let outcome = result["outcome"].as_str().unwrap_or_default();
    match result["message"].as_str().and_then(|message| message.lines().next()) {
        Some(message) => Ok(writeln!(out, "{partition}/{offset}  {outcome}: {message}")?),
        None => Ok(writeln!(out, "{partition}/{offset}  {outcome}  {} events", result["emitted"])?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    fn arguments(host: &FakeHost) -> DlqRedriveArgs {
        DlqRedriveArgs {
            name: FunctionName::new("f").unwrap(),
            places: Vec::new(),
            all: true,
            to: NonZeroU64::new(2),
            edit: None,
            force: false,
            host: host.arguments(),
            json: false,
        }
    }

    #[test]
    fn all_are_handled_although_one_request_does_not_do_it() {
        let first = r#"{"emitted":1,"failed":0,"passed_over":0,"left":"0:5-9","results":[{"partition":0,"offset":4,"outcome":"emitted","emitted":2}]}"#;
        let second = r#"{"emitted":0,"failed":1,"passed_over":0,"results":[{"partition":0,"offset":5,"outcome":"trap","emitted":0,"message":"told to\nmore"}]}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(200, first), CannedAnswer::new(200, second)]);
        let mut out = Vec::new();
        run(&arguments(&host), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "0/4  emitted  2 events\n0/5  trap: told to\n");
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
        let host = FakeHost::start(vec![CannedAnswer::new(200, r#"{"results":[]}"#)]);
        let places = vec![place("1/7").unwrap()];
        let arguments = DlqRedriveArgs { places, all: false, edit: Some(file), ..arguments(&host) };
        run(&arguments, &mut Vec::new()).unwrap();
        let body = &host.requests()[0].body;
        assert!(body.contains(r#""value_base64":"b2s=""#) && body.contains(r#"{"offset":7,"partition":1}"#), "{body}");
    }
}
