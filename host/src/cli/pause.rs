//! `millstream pause` and `millstream resume`.

use std::io::Write;
use std::time::Duration;

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::cli::progress;
use crate::model::ids::FunctionName;

const PAUSE_EXAMPLES: &str = "\
Examples:
  millstream pause enrich-bid
  millstream pause enrich-bid && millstream status enrich-bid";

const RESUME_EXAMPLES: &str = "\
Examples:
  millstream resume enrich-bid
  millstream resume enrich-bid --json | jq -r .state";

/// As long as calls may run on, and a little more.
const WAIT: &str = "30s";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// Pause a function, on every host of the cluster
///
/// It takes no more records until it is resumed, also after restarts and deploys. What runs is finished and committed; it
/// keeps its place in its topics. Calls over HTTP go on.
#[derive(Debug, clap::Args)]
#[command(after_help = PAUSE_EXAMPLES)]
pub(crate) struct PauseArguments {
    #[command(flatten)]
    common: PauseArgs,
}

/// Let a paused function go on, on every host of the cluster
///
/// From where everything before is finished, with the revision that is live now.
#[derive(Debug, clap::Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub(crate) struct ResumeArguments {
    #[command(flatten)]
    common: PauseArgs,
}

#[derive(Debug, clap::Args)]
struct PauseArgs {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    name: FunctionName,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as it is
    #[arg(long)]
    json: bool,
}

pub(crate) fn pause(arguments: &PauseArguments, out: &mut dyn Write) -> Result<(), VerbFailure> {
    turn(&arguments.common, "pause", "paused", out)
}

pub(crate) fn resume(arguments: &ResumeArguments, out: &mut dyn Write) -> Result<(), VerbFailure> {
    turn(&arguments.common, "resume", "running", out)
}

fn turn(arguments: &PauseArgs, verb: &str, wanted: &str, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let name = arguments.name.as_str();
    let answer = client
        .change(&["v1", "functions", name, verb], |http, url| {
            http.post(url).query(&[("wait", WAIT)]).timeout(ANSWER_TIMEOUT)
        })
        .map_err(|failure| client.with_suggestion(failure, &arguments.name))?
        .unwrap_or_default();
    if arguments.json {
        return Ok(writeln!(out, "{answer:#}")?);
    }
    let state = answer["state"].as_str().unwrap_or_default();
    writeln!(out, "{name} is {state}")?;
    if state != wanted {
        progress::tell(format_args!("it is to be {wanted}, and is not yet; `millstream status {name}` tells why"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn it_is_told_what_the_function_does_now() {
        let answers =
            ["paused", "running"].map(|state| CannedAnswer::new(200, &format!(r#"{{"name":"f","state":"{state}"}}"#)));
        let host = FakeHost::start(answers.into());
        let common = || PauseArgs { name: FunctionName::new("f").unwrap(), host: host.arguments(), json: false };
        let mut out = Vec::new();
        pause(&PauseArguments { common: common() }, &mut out).unwrap();
        resume(&ResumeArguments { common: common() }, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "f is paused\nf is running\n");
        let requests = host.requests();
        assert_eq!(requests[0].line, "POST /v1/functions/f/pause?wait=30s HTTP/1.1");
        assert_eq!(requests[1].line, "POST /v1/functions/f/resume?wait=30s HTTP/1.1");
    }
}
