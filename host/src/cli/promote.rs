//! `millstream promote`: makes a function's shadow its live revision.

use std::io::Write;
use std::time::Duration;

use crate::api::views::DeployedView;
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::FunctionArgs;

const EXAMPLES: &str = "\
Examples:
  millstream promote enrich-bid
  millstream promote enrich-bid --if-same";

/// Longer than a host takes to load a module again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Make a function's shadow its live revision
///
/// Works like a deploy: each partition switches between two records, the function keeps its offsets, and records in flight
/// finish on the revision that they started with. `millstream shadow` shows what will change.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PromoteArgs {
    #[command(flatten)]
    function: FunctionArgs,
    /// Only if records were compared and none of them differed
    #[arg(long)]
    if_same: bool,
}

pub(crate) fn run(arguments: &PromoteArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let answer = arguments.function.client()?.change(&["promote"], |http, mut url| {
        if arguments.if_same {
            url.query_pairs_mut().append_pair("if_same", "true");
        }
        http.post(url).timeout(ANSWER_TIMEOUT)
    })?;
    arguments.function.output.show(answer, out, |DeployedView { name, revision, .. }, out| {
        Ok(writeln!(out, "{name} is at revision {revision} now")?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost, deployed};

    #[test]
    fn a_promotion_says_what_is_live_now() {
        let answers = (0..2).map(|_| CannedAnswer::new(200, &deployed("f", 4))).collect();
        let host = FakeHost::start(answers);
        let mut out = Vec::new();
        for if_same in [false, true] {
            run(&PromoteArgs { function: host.function_args("f"), if_same }, &mut out).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "f is at revision 4 now\n".repeat(2));
        let lines: Vec<String> = host.requests().into_iter().map(|request| request.line).collect();
        assert_eq!(
            lines,
            ["POST /v1/functions/f/promote HTTP/1.1", "POST /v1/functions/f/promote?if_same=true HTTP/1.1"]
        );
    }
}
