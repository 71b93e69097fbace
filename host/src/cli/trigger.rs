//! `millstream trigger`: makes a scheduled function run now.

use std::io::Write;

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::model::ids::FunctionName;

const EXAMPLES: &str = "\
Examples:
  millstream trigger nightly-report
  millstream trigger nightly-report && millstream logs nightly-report --follow";

/// Run a function now that otherwise runs by the clock
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TriggerArgs {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    name: FunctionName,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as it is
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &TriggerArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let path = ["v1", "functions", arguments.name.as_str(), "trigger"];
    // Once: a second tick would be another one.
    let answer = client
        .once(&path, |http, url| http.post(url))
        .and_then(|answer| client.json_of(answer))
        .map_err(|failure| client.with_suggestion(failure, &arguments.name))?;
    if arguments.json {
        return Ok(writeln!(out, "{answer:#}")?);
    }
    let topic = answer["topic"].as_str().unwrap_or_default();
    Ok(writeln!(out, "{topic}/{}/{}", answer["partition"], answer["offset"])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn the_place_of_the_tick_is_told() {
        let host = FakeHost::start(vec![CannedAnswer::new(202, r#"{"topic":"f.ticks","partition":0,"offset":3}"#)]);
        let arguments = TriggerArgs { name: FunctionName::new("f").unwrap(), host: host.arguments(), json: false };
        let mut out = Vec::new();
        run(&arguments, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "f.ticks/0/3\n");
        assert_eq!(host.requests()[0].line, "POST /v1/functions/f/trigger HTTP/1.1");
    }
}
