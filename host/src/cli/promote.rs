//! `millstream promote`: makes a function's shadow its live revision.

use std::io::Write;
use std::time::Duration;

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::model::ids::FunctionName;

const EXAMPLES: &str = "\
Examples:
  millstream promote enrich-bid
  millstream promote enrich-bid --if-same";

/// Longer than a host takes to load a module again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Make a function's shadow its live revision
///
/// As a deploy does: each partition goes over between two records, the function's place in its topics stays, and records that
/// run end on the revision that they began with. `millstream shadow` shows what will change.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PromoteArgs {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    name: FunctionName,
    /// Only when records were compared, and none of them showed a difference
    #[arg(long)]
    if_same: bool,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as it is
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &PromoteArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let path = ["v1", "functions", arguments.name.as_str(), "promote"];
    let answer = client
        .change(&path, |http, mut url| {
            if arguments.if_same {
                url.query_pairs_mut().append_pair("if_same", "true");
            }
            http.post(url).timeout(ANSWER_TIMEOUT)
        })
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
    fn a_promotion_says_what_is_live_now() {
        let answers = (0..2).map(|_| CannedAnswer::new(200, r#"{"name":"f","revision":4}"#)).collect();
        let host = FakeHost::start(answers);
        let mut out = Vec::new();
        for if_same in [false, true] {
            let name = FunctionName::new("f").unwrap();
            run(&PromoteArgs { name, if_same, host: host.arguments(), json: false }, &mut out).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "f is at revision 4 now\n".repeat(2));
        let lines: Vec<String> = host.requests().into_iter().map(|request| request.line).collect();
        assert_eq!(
            lines,
            ["POST /v1/functions/f/promote HTTP/1.1", "POST /v1/functions/f/promote?if_same=true HTTP/1.1"]
        );
    }
}
