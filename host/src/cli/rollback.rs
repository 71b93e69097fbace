//! `millstream rollback`: makes an earlier revision live again.

use std::io::Write;
use std::num::NonZeroU64;
use std::time::Duration;

use serde_json::json;

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::model::ids::FunctionName;

const EXAMPLES: &str = "\
Examples:
  millstream rollback enrich-bid
  millstream rollback enrich-bid --to 3";

/// Longer than a host takes to load a module again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Make an earlier revision live again, as a new one
///
/// The function's place in its topics stays; records that run end on the revision that they began with. `millstream
/// revisions` lists those that are kept, the last ten.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RollbackArgs {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    name: FunctionName,
    /// The revision to go back to; without it the one before the live one
    #[arg(long, value_name = "REVISION")]
    to: Option<NonZeroU64>,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as it is
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &RollbackArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let path = ["v1", "functions", arguments.name.as_str(), "rollback"];
    let wanted = arguments.to.map(|revision| json!({ "revision": revision }));
    let request = |http: &reqwest::blocking::Client, url| {
        let request = http.post(url).timeout(ANSWER_TIMEOUT);
        match &wanted {
            Some(wanted) => request.json(wanted),
            None => request,
        }
    };
    let answer = client
        .change(&path, request)
        .map_err(|failure| client.with_suggestion(failure, &arguments.name))?
        .unwrap_or_default();
    if arguments.json {
        return Ok(writeln!(out, "{answer:#}")?);
    }
    Ok(writeln!(out, "{} is at revision {} now", arguments.name, answer["revision"])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn a_rollback_says_what_is_live_now() {
        let answers = (0..2).map(|_| CannedAnswer::new(200, r#"{"name":"f","revision":4}"#)).collect();
        let host = FakeHost::start(answers);
        let mut out = Vec::new();
        for to in [None, NonZeroU64::new(2)] {
            let name = FunctionName::new("f").unwrap();
            run(&RollbackArgs { name, to, host: host.arguments(), json: false }, &mut out).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "f is at revision 4 now\n".repeat(2));
        let requests = host.requests();
        assert_eq!(requests[0].line, "POST /v1/functions/f/rollback HTTP/1.1");
        assert_eq!((requests[0].body.as_str(), requests[1].body.as_str()), ("", r#"{"revision":2}"#));
    }
}
