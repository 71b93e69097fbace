//! `millstream pause` and `millstream resume`.

use std::io::Write;
use std::time::Duration;

use crate::api::views::DeployedView;
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::FunctionArgs;
use crate::cli::progress;
use crate::cli::table::json_name;
use crate::model::status::FunctionState;

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
/// It takes no more records until it is resumed, also after restarts and deploys. Records in flight are finished and
/// committed, and it keeps its offsets. Calls over HTTP are still answered.
#[derive(Debug, clap::Args)]
#[command(after_help = PAUSE_EXAMPLES)]
pub(crate) struct PauseArguments {
    #[command(flatten)]
    function: FunctionArgs,
}

/// Resume a paused function, on every host of the cluster
///
/// It continues from the first record that is not finished, with the revision that is live now.
#[derive(Debug, clap::Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub(crate) struct ResumeArguments {
    #[command(flatten)]
    function: FunctionArgs,
}

pub(crate) fn pause(arguments: &PauseArguments, out: &mut dyn Write) -> Result<(), VerbFailure> {
    turn(&arguments.function, "pause", FunctionState::Paused, out)
}

pub(crate) fn resume(arguments: &ResumeArguments, out: &mut dyn Write) -> Result<(), VerbFailure> {
    turn(&arguments.function, "resume", FunctionState::Running, out)
}

fn turn(function: &FunctionArgs, verb: &str, wanted: FunctionState, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let answer = function
        .client()?
        .change(&[verb], |http, url| http.post(url).query(&[("wait", WAIT)]).timeout(ANSWER_TIMEOUT))?;
    function.output.show(answer, out, |DeployedView { name, state, .. }, out| {
        writeln!(out, "{name} is {}", json_name(&state))?;
        if state != wanted {
            progress::report(format_args!("it is not {} yet; see `millstream status {name}`", json_name(&wanted)));
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost, deployed};

    #[test]
    fn the_functions_state_is_printed() {
        let answers =
            ["paused", "running"].map(|state| CannedAnswer::new(200, &deployed("f", 1).replace("running", state)));
        let host = FakeHost::start(answers.into());
        let mut out = Vec::new();
        pause(&PauseArguments { function: host.function_args("f") }, &mut out).unwrap();
        resume(&ResumeArguments { function: host.function_args("f") }, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "f is paused\nf is running\n");
        let requests = host.requests();
        assert_eq!(requests[0].line, "POST /v1/functions/f/pause?wait=30s HTTP/1.1");
        assert_eq!(requests[1].line, "POST /v1/functions/f/resume?wait=30s HTTP/1.1");
    }
}
